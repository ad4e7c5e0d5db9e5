"""List what of a selection has to be fetched from Stripe before it can be replayed."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.inbox.services.replay_events import PRUNED, ReplaySelection, list_replayable

_STORED = text("SELECT event_id FROM billing.billing_webhook_events WHERE event_id = ANY(:ids)")


def list_fetchable(session: Session, selection: ReplaySelection) -> list[tuple[str, str]]:
    """Return account and event id of what is named and unknown here, and of what is selected and has no body."""
    stored = set(session.execute(_STORED, {"ids": list(selection.event_ids)}).scalars())
    wanted = [("", event_id) for event_id in selection.event_ids if event_id not in stored]
    after = 0
    while batch := list_replayable(session, selection, after=after):
        wanted += [(event.account_id, event.event_id) for event in batch if event.hindrance == PRUNED]
        after = batch[-1].row_id
    return wanted
