"""An intent as commands show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing_worker.effects.intents import Intent


def intent_row(intent: Intent) -> dict[str, object]:
    """Describe one intent in a line."""
    return {
        "intent": str(intent.id),
        "created_at": intent.created_at,
        "operation": intent.operation,
        "about": intent.parent_key,
        "status": intent.status.value,
        "attempts": intent.attempts,
        "stripe_id": intent.stripe_id,
        "detail": intent.detail,
    }
