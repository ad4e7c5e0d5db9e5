"""Discard a stored event that will never be applied, with the reason why."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_worker.inbox.models import WebhookEvent
from billing_worker.inbox.states import EventStatus
from billing_worker.kernel.errors import NotFoundError, RefusedError

DISCARDABLE = frozenset({EventStatus.FAILED, EventStatus.QUARANTINED})


class EventNotStoppedError(RefusedError):
    """Only events that failed or are quarantined can be discarded: the others are applied or will be."""


def discard_event(session: Session, event_id: str, *, reason: str, now: datetime) -> list[WebhookEvent]:
    """End a failed or quarantined event; its row and body stay, and a replay can take it up again.

    Shape: several rows where connected accounts share an event id. Locks: the rows, in id order.
    Raises: NotFoundError, EventNotStoppedError; then nothing is changed.
    """
    query = select(WebhookEvent).where(WebhookEvent.event_id == event_id).order_by(WebhookEvent.id).with_for_update()
    events = list(session.scalars(query))
    if not events:
        raise NotFoundError(f"no event {event_id} is stored; `nself billing webhook failures` lists those that stopped")
    for event in events:
        if event.status not in DISCARDABLE:
            raise EventNotStoppedError(
                f"{event_id} is {event.status}: only events that are failed or quarantined can be discarded"
            )
    for event in events:
        event.status = EventStatus.DISCARDED
        event.detail = f"discarded: {reason}"[:500]
        event.finished_at = now
    return events
