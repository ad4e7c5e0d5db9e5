"""Messages as rows and facts of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from billing_worker.domains.notifications import queries
    from billing_worker.domains.notifications.models import Message
    from billing_worker.domains.notifications.queries import Standing
else:
    queries = lazy_module("billing_worker.domains.notifications.queries")


def row_of(message: Message) -> dict[str, object]:
    """Show a message in a list."""
    return {
        "message": f"{queries.MESSAGE_PREFIX}{message.id}",
        "type": message.template,
        "customer": message.customer_id,
        "recipient": message.recipient,
        "status": message.status,
        "attempts": message.attempts,
        "queued_at": message.queued_at,
        "sent_at": message.sent_at,
        "detail": message.detail,
    }


def facts_of(message: Message, standing: Standing) -> dict[str, object]:
    """Show a message with what caused it and what is planned."""
    return {
        **row_of(message),
        "subject": message.subject,
        "message_id": message.message_id,
        "effect": standing.effect_key,
        "effect_status": standing.effect_status,
        "event": standing.event_id,
        "next_attempt_at": standing.next_attempt_at,
    }
