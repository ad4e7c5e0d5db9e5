"""Write an object's rebuilt state: the events it comes from are applied once more, by their lane."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.inbox.rebuilt import Rebuilt
from billing_worker.inbox.services.replay_events import Replayed, replay_events
from billing_worker.inbox.states import HAPPENED, EventStatus
from billing_worker.kernel.errors import RefusedError

_OF_THE_SECOND = text(
    """
    SELECT id, event_id, type, lane, status, account_id FROM billing.billing_webhook_events
    WHERE object_key = :key AND created = :second AND status = 'applied' AND source = ANY(:sources)
    ORDER BY id
    """
)


class RebuildRefusedError(RefusedError):
    """The rebuilt state must not be written."""


def write_rebuilt(session: Session, rebuilt: Rebuilt) -> list[int]:
    """Put the rows of the newest second back to pending and return their ids; their lane has to be woken.

    Shape: the drain is the mirror's only writer; from the same rows it comes to the same state, and effects are keyed.
    Raises: RebuildRefusedError where Stripe, a pruned body or a waiting event says that the log is not the truth.
    """
    state = rebuilt.log.state
    if state is None or (reason := _reason_against(rebuilt)):
        raise RebuildRefusedError("no applied event is left to rebuild from" if state is None else reason)
    sources = sorted(HAPPENED) if state.row.source in HAPPENED else [state.row.source]
    given = {"key": rebuilt.object_key, "second": state.version, "sources": [source.value for source in sources]}
    events = [
        Replayed(row_id, event_id, kind, lane, EventStatus(was), account_id, hindrance="")
        for row_id, event_id, kind, lane, was, account_id in session.execute(_OF_THE_SECOND, given)
    ]
    replay_events(session, events)
    return [event.row_id for event in events]


def _reason_against(rebuilt: Rebuilt) -> str:
    log, state, mirror = rebuilt.log, rebuilt.log.state, rebuilt.mirror
    mend = f"run {rebuilt.mend}"
    if rebuilt.stripe_differs:
        return f"Stripe has another state than the log, so an event is missing or on its way: {mend}"
    if log.lost:
        return (
            f"{log.lost} bodies are missing that the state is made of (pruning may be under way: try again in a "
            f"minute), so the log is not complete: {mend}"
        )
    if log.waiting:
        return f"{log.waiting} events of it are not applied yet: see `nself billing webhook queue-status`"
    if state is not None and mirror is not None and mirror.version > state.version:
        return (
            f"the mirror's row claims to be of {mirror.version.isoformat()}, newer than anything in the log "
            f"({state.version.isoformat()}): {mend}"
        )
    return ""
