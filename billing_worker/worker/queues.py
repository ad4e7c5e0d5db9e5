"""Queues by worker family, and which family a wake-up belongs to."""

from __future__ import annotations

WEBHOOK_QUEUE_PREFIX = "webhooks."
FETCH = "fetch"
EFFECTS = "effects"
MAIL = "mail"
PDF = "pdf"
USAGE = "usage"
QUOTAS = "quotas"
PAYMENTS = "payments"
RECONCILIATION = "reconciliation"
MAINTENANCE = "maintenance"
TICK = "tick"

FIXED_QUEUES = (FETCH, EFFECTS, MAIL, PDF, USAGE, QUOTAS, PAYMENTS, RECONCILIATION, MAINTENANCE, TICK)


def webhook_queues(count: int) -> list[str]:
    """Name the webhook queues of this installation."""
    return [f"{WEBHOOK_QUEUE_PREFIX}{number}" for number in range(count)]
