"""What is known of the inbox: counts, failures, single events, lag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select, text
from sqlalchemy.orm import Session

from billing_worker.inbox.models import ParkedObject, WebhookEvent
from billing_worker.inbox.queue import WAITING
from billing_worker.inbox.states import EventStatus


def is_waiting() -> ColumnElement[bool]:
    """Match the pending events by the queue, whatever the length of the history."""
    return and_(WebhookEvent.status == EventStatus.PENDING, WebhookEvent.id.in_(text(WAITING)))


@dataclass(frozen=True)
class InboxCounts:
    """How many events are in which state.

    Shape: `superseded` counts within applied, `redelivered` the deliveries beyond each event's first.
    """

    by_status: dict[str, int]
    superseded: int
    order_unproven: int
    redelivered: int
    snapshots: int
    parked_objects: int

    @property
    def stored(self) -> int:
        """Return how many rows there are in all."""
        return sum(self.by_status.values())


def count_inbox(session: Session) -> InboxCounts:
    """Count the whole inbox by state."""
    rows = session.execute(select(WebhookEvent.status, func.count()).group_by(WebhookEvent.status))
    by_status = {status.value: 0 for status in EventStatus} | {status.value: count for status, count in rows}
    superseded, unproven, redelivered, snapshots = session.execute(
        text(
            "SELECT count(*) FILTER (WHERE superseded), count(*) FILTER (WHERE order_unproven), "
            "coalesce(sum(deliveries - 1), 0), count(*) FILTER (WHERE source NOT IN "
            "('webhook', 'events_api', 'certify')) FROM billing.billing_webhook_events"
        )
    ).one()
    parked = session.execute(select(func.count()).select_from(ParkedObject)).scalar_one()
    return InboxCounts(by_status, superseded, unproven, int(redelivered), snapshots, parked)


@dataclass(frozen=True)
class InboxLag:
    """How far behind the inbox is: the oldest event that waits, and how long the last ones took."""

    pending: int
    oldest_pending_at: datetime | None
    last_received_at: datetime | None
    waited_p50_ms: float | None
    waited_p99_ms: float | None


def read_lag(session: Session, *, last: int = 1000) -> InboxLag:
    """Measure the lag over the newest finished events."""
    pending, oldest = session.execute(
        select(func.count(), func.min(WebhookEvent.received_at)).where(is_waiting())
    ).one()
    newest = session.execute(select(func.max(WebhookEvent.received_at))).scalar_one()
    p50, p99 = session.execute(
        text(
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY waited_ms), "
            "percentile_cont(0.99) WITHIN GROUP (ORDER BY waited_ms) FROM (SELECT waited_ms "
            "FROM billing.billing_webhook_events WHERE waited_ms IS NOT NULL ORDER BY id DESC LIMIT :last) newest"
        ),
        {"last": last},
    ).one()
    return InboxLag(pending, oldest, newest, p50, p99)


def list_events(
    session: Session,
    *,
    statuses: Sequence[EventStatus] = (),
    object_id: str | None = None,
    event_type: str | None = None,
    since: datetime | None = None,
    limit: int = 50,
) -> list[WebhookEvent]:
    """Return events, newest first."""
    query = select(WebhookEvent).order_by(WebhookEvent.id.desc()).limit(limit)
    if statuses:
        query = query.where(WebhookEvent.status.in_(statuses))
    if object_id is not None:
        query = query.where(WebhookEvent.object_id == object_id)
    if event_type is not None:
        query = query.where(WebhookEvent.type == event_type)
    if since is not None:
        query = query.where(WebhookEvent.received_at >= since)
    return list(session.scalars(query))


def list_parked(session: Session, *, limit: int = 50) -> list[ParkedObject]:
    """Return parked objects, the one that is due first leading."""
    return list(session.scalars(select(ParkedObject).order_by(ParkedObject.parked_until).limit(limit)))


@dataclass(frozen=True)
class LaneDepth:
    """How many events wait in one lane, and since when."""

    lane: int
    pending: int
    oldest_received_at: datetime


def list_lane_depths(session: Session) -> list[LaneDepth]:
    """Return the lanes with waiting events, the fullest first."""
    rows = session.execute(
        select(WebhookEvent.lane, func.count().label("pending"), func.min(WebhookEvent.received_at))
        .where(is_waiting())
        .group_by(WebhookEvent.lane)
        .order_by(text("pending DESC"), WebhookEvent.lane)
    )
    return [LaneDepth(lane, pending, oldest) for lane, pending, oldest in rows]


def count_parked_for_fetch(session: Session, now: datetime) -> int:
    """Count the objects whose fetch is due."""
    query = (
        select(func.count())
        .select_from(ParkedObject)
        .where(ParkedObject.waits_for == "fetch", ParkedObject.parked_until <= now)
    )
    return session.execute(query).scalar_one()
