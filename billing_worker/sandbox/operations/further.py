"""The families beyond the everyday ones, gathered for the router."""

from __future__ import annotations

from billing_worker.sandbox.core.expansion import Includable
from billing_worker.sandbox.core.routes import Route

FURTHER: list[list[Route]] = []
"""Published operations."""
HOSTED: list[Route] = []
"""What Stripe's own hosted pages call: in no reference, and so in no SDK."""
FURTHER_INCLUDABLES: dict[tuple[str, str], Includable] = {}
"""Parts that are left out unless expanded."""
