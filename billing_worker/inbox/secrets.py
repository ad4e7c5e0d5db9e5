"""What a signing secret is called without being shown."""

from __future__ import annotations

from hashlib import sha256

FINGERPRINT = 12
"""Long enough to tell secrets apart, far too short to be tried against."""


def fingerprint_of(secret: str) -> str:
    """Name a secret by the start of its digest."""
    return sha256(secret.encode()).hexdigest()[:FINGERPRINT]
