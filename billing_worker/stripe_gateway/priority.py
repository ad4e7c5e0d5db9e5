"""Who waits when calls to Stripe become scarce."""

from __future__ import annotations

from enum import StrEnum


class Priority(StrEnum):
    """On whose behalf Stripe is called, from who waits least to who waits most."""

    INTERACTIVE = "interactive"
    WEBHOOKS = "webhooks"
    PAYMENTS = "payments"
    RECONCILIATION = "reconciliation"
