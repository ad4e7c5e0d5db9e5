"""The states of a customer's access."""

from __future__ import annotations

from enum import StrEnum


class Access(StrEnum):
    """What a customer may use: granted, granted while a payment is overdue, nothing, or taken by an operator."""

    GRANTED = "granted"
    GRACE = "grace"
    NONE = "none"
    REVOKED = "revoked"
