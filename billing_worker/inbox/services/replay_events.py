"""Replay stored events: put them back to pending, so that their lanes apply them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.inbox.states import EventStatus
from billing_worker.kernel.errors import InvalidValueError

REPLAYABLE = frozenset(
    {EventStatus.APPLIED, EventStatus.IGNORED, EventStatus.FAILED, EventStatus.QUARANTINED, EventStatus.DISCARDED}
)
BATCH = 1000
PRUNED = "pruned"
REFUSED_FOR_GOOD = ("other_mode", "unstorable_text")
"""Reasons of intake that no replay overrules."""


@dataclass(frozen=True)
class ReplaySelection:
    """Which events to replay; all given conditions must hold.

    Shape: times are of receipt, `since` included, `until` excluded.
    """

    event_ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    object_id: str | None = None
    status: EventStatus | None = None
    since: datetime | None = None
    until: datetime | None = None

    def check(self) -> None:
        """Refuse a selection of everything, and states that cannot be replayed.

        Raises: InvalidValueError.
        """
        if self.status is not None and self.status not in REPLAYABLE:
            allowed = ", ".join(sorted(REPLAYABLE))
            raise InvalidValueError(f"events that are {self.status} cannot be replayed; replayable: {allowed}")
        if not (self.event_ids or self.types or self.object_id or self.status or self.since or self.until):
            raise InvalidValueError(
                "nothing selects the events: name ids, or give --status, --type, --object or --since, "
                "for example --status failed --since 24h"
            )


_STOPPED = frozenset({EventStatus.FAILED, EventStatus.QUARANTINED})
"""Their rows have a partial index; the others are found by walking the table."""

_CONDITIONS = """
    e.status = ANY(:replayable)
    AND (NOT CAST(:only_stopped AS boolean) OR e.stopped)
    AND (CAST(:event_ids AS text[]) IS NULL OR e.event_id = ANY(:event_ids))
    AND (CAST(:types AS text[]) IS NULL OR e.type = ANY(:types))
    AND (CAST(:object_id AS text) IS NULL OR e.object_id = :object_id)
    AND (CAST(:since AS timestamptz) IS NULL OR e.received_at >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR e.received_at < :until)
"""

_SELECT = text(
    "SELECT e.id, e.event_id, e.type, e.lane, e.status, e.account_id, CASE "  # noqa: S608 - constants
    "WHEN e.object_key = '' THEN 'unreadable' WHEN e.reason = ANY(:refused) THEN e.reason "
    "WHEN NOT EXISTS (SELECT 1 FROM billing.billing_webhook_payloads p "
    f"WHERE p.event_row_id = e.id AND p.received_at = e.received_at) THEN '{PRUNED}' ELSE '' END "
    "FROM billing.billing_webhook_events e "
    f"WHERE e.id > :after AND {_CONDITIONS} ORDER BY e.id LIMIT :size"
)

_REARM = text(
    """
    UPDATE billing.billing_webhook_events
    SET status = 'pending', attempts = 0, next_attempt_at = NULL, reason = '', detail = '', finished_at = NULL
    WHERE id = ANY(:ids)
    """
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """One event that is (or, in a dry run, would be) replayed.

    Shape: `hindrance` says why it cannot be: its body is pruned, or intake refused it for good (the other mode's events
    must never be applied here, whoever asks).
    """

    row_id: int
    event_id: str
    type: str
    lane: int
    was: EventStatus
    account_id: str
    hindrance: str


def list_replayable(
    session: Session, selection: ReplaySelection, *, after: int = 0, size: int = BATCH
) -> list[Replayed]:
    """Return the next events of a selection, oldest first."""
    selection.check()
    wanted = [selection.status] if selection.status is not None else sorted(REPLAYABLE)
    rows = session.execute(
        _SELECT,
        {
            "after": after,
            "size": size,
            "refused": list(REFUSED_FOR_GOOD),
            "replayable": [status.value for status in wanted],
            "only_stopped": selection.status in _STOPPED,
            "event_ids": list(selection.event_ids) or None,
            "types": list(selection.types) or None,
            "object_id": selection.object_id,
            "since": selection.since,
            "until": selection.until,
        },
    )
    return [
        Replayed(row_id, event_id, kind, lane, EventStatus(was), account_id, hindrance)
        for row_id, event_id, kind, lane, was, account_id, hindrance in rows
    ]


def replay_events(session: Session, events: Sequence[Replayed]) -> set[int]:
    """Put events back to pending and return the lanes to wake; effects are keyed, so none is repeated.

    Shape: events with a hindrance are left as they are.
    Locks: the events' rows, in id order.
    """
    able = [event for event in events if not event.hindrance]
    session.execute(_REARM, {"ids": sorted(event.row_id for event in able)})
    return {event.lane for event in able}
