"""The effects that an event left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class EventEffect:
    """One effect of an event."""

    event_row_id: int
    effect_key: str
    kind: str
    status: str
    attempts: int
    finished_at: datetime | None
    detail: str

    def as_row(self) -> dict[str, object]:
        """Return what is shown, under the event it belongs to."""
        return {name: value for name, value in asdict(self).items() if name != "event_row_id"}


def list_event_effects(session: Session, event_row_ids: Sequence[int]) -> list[EventEffect]:
    """Return the effects whose rows these events made, first made first.

    Order: found through the events' objects, which are indexed; an effect that another event of the same fact made
    first belongs to that one.
    """
    rows = session.execute(
        text(
            "SELECT f.event_row_id, f.effect_key, f.kind, f.status, f.attempts, f.finished_at, f.detail "
            "FROM billing.billing_effects f JOIN billing.billing_webhook_events e "
            "ON e.object_key = f.object_key AND e.id = f.event_row_id "
            "WHERE e.id = ANY(:ids) ORDER BY f.id"
        ),
        {"ids": list(event_row_ids)},
    )
    return [EventEffect(*row) for row in rows]
