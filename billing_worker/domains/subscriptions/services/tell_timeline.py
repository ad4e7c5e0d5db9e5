"""Tell what happened to a subscription from its stored events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from billing_worker.domains.subscriptions.items import list_items, price_of
from billing_worker.inbox.history import Placed, fold_history
from billing_worker.kernel.keys import object_key
from billing_worker.mirror.registry import REGISTRY

SHOWN_CHANGES = 6
"""An event names what it changed; more than a handful says nothing in a line."""


@dataclass(frozen=True, slots=True)
class TimelineMoment:
    """The subscription right after one event; `changed` are the fields that the event says it changed."""

    at: datetime
    event_id: str
    type: str
    status: str | None
    prices: tuple[str, ...]
    trial_end: datetime | None
    cancel_at: datetime | None
    current_period_end: datetime | None
    changed: tuple[str, ...]
    counted: str

    def as_row(self) -> Mapping[str, object]:
        """Return it as a row of a table."""
        return asdict(self)


def tell_timeline(session: Session, subscription_id: str) -> list[TimelineMoment]:
    """Return a subscription's moments in Stripe's proved order; what does not count says why in `counted`."""
    key = object_key("", "subscription", subscription_id)
    return [
        _moment(placed) for second in fold_history(session, REGISTRY["subscription"], key) for placed in second.rows
    ]


def _moment(placed: Placed) -> TimelineMoment:
    row = placed.row
    snapshot: Mapping[str, Any] = {} if row.event is None else row.event.snapshot
    items = list_items(snapshot)
    ends = [_instant(item.get("current_period_end")) for item in items[:1]]
    previous = () if row.event is None else sorted(row.event.previous or ())
    return TimelineMoment(
        at=row.created,
        event_id=row.event_id,
        type=row.type,
        status=snapshot.get("status"),
        prices=tuple(filter(None, (price_of(item) for item in items))),
        trial_end=_instant(snapshot.get("trial_end")),
        cancel_at=_instant(snapshot.get("cancel_at")),
        current_period_end=ends[0] if ends else None,
        changed=tuple(previous[:SHOWN_CHANGES]),
        counted="yes" if row.counts else row.fault or row.status.value,
    )


def _instant(value: object) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None
