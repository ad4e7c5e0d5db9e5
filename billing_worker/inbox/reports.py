"""What operators ask of the inbox: rates, timings, one object's history, what was delivered more than once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select, text
from sqlalchemy.orm import Session

from billing_worker.inbox.duplicates import list_surplus
from billing_worker.inbox.models import Lane, ParkedObject, WebhookEvent
from billing_worker.inbox.objects import possible_keys
from billing_worker.inbox.queries import is_waiting
from billing_worker.inbox.states import HAPPENED, EventStatus
from billing_worker.kernel.errors import NotFoundError

_STOPPED = (EventStatus.FAILED, EventStatus.QUARANTINED)


@dataclass(frozen=True, slots=True)
class IntakeRates:
    """What Stripe delivered since an instant and how it ended; our own snapshots are not counted."""

    received: int
    redelivered: int
    applied: int
    pending: int
    failed: int
    quarantined: int


def count_rates(session: Session, since: datetime) -> IntakeRates:
    """Count the deliveries received since an instant."""
    row = session.execute(
        text(
            "SELECT count(*), coalesce(sum(deliveries - 1), 0)::bigint, "
            "count(*) FILTER (WHERE status IN ('applied', 'ignored')), count(*) FILTER (WHERE status = 'pending'), "
            "count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'quarantined') "
            "FROM billing.billing_webhook_events WHERE received_at >= :since AND source = ANY(:sources)"
        ),
        {"since": since, "sources": _happened()},
    ).one()
    return IntakeRates(*row)


def find_last_delivery(session: Session) -> datetime | None:
    """Return when Stripe delivered last, by looking at the newest rows only."""
    newest: datetime | None = session.execute(
        text(
            "SELECT max(received_at) FROM (SELECT received_at FROM billing.billing_webhook_events "
            "WHERE source = ANY(:sources) ORDER BY received_at DESC LIMIT 1) newest"
        ),
        {"sources": _happened()},
    ).scalar_one()
    return newest


@dataclass(frozen=True, slots=True)
class TypeFailures:
    """Events of one type that stopped."""

    type: str
    failed: int
    quarantined: int
    newest_at: datetime


def list_type_failures(session: Session, *, limit: int) -> list[TypeFailures]:
    """Return the types with stopped events, the worst first; all of them wait for a person, whatever their age."""
    stopped = func.count()
    rows = session.execute(
        select(
            WebhookEvent.type,
            stopped.filter(WebhookEvent.status == EventStatus.FAILED),
            stopped.filter(WebhookEvent.status == EventStatus.QUARANTINED),
            func.max(WebhookEvent.received_at),
        )
        .where(WebhookEvent.stopped)
        .group_by(WebhookEvent.type)
        .order_by(stopped.desc(), WebhookEvent.type)
        .limit(limit)
    )
    return [TypeFailures(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; all given conditions must hold. `object_id` of a customer takes in its other objects."""

    object_id: str | None = None
    type: str | None = None
    statuses: tuple[EventStatus, ...] = ()
    since: datetime | None = None


def list_matching(session: Session, wanted: EventFilter, *, limit: int) -> list[WebhookEvent]:
    """Return the newest events of a filter, newest first: by receipt, or by Stripe's time for one object."""
    query = select(WebhookEvent).limit(limit)
    if wanted.object_id is None:
        query = query.order_by(WebhookEvent.id.desc())
    else:
        query = query.where(_is_about(session, wanted.object_id))
        query = query.order_by(WebhookEvent.created.desc(), WebhookEvent.id.desc())
    if wanted.type is not None:
        query = query.where(WebhookEvent.type == wanted.type)
    if wanted.statuses:
        query = query.where(WebhookEvent.status.in_(wanted.statuses))
        if set(wanted.statuses) <= set(_STOPPED):
            query = query.where(WebhookEvent.stopped)
    if wanted.since is not None:
        query = query.where(WebhookEvent.received_at >= wanted.since)
    return list(session.scalars(query))


def get_named(session: Session, event_ids: Sequence[str]) -> list[WebhookEvent]:
    """Return the rows of event ids, in every account.

    Raises: NotFoundError naming those that are not stored.
    """
    statement = select(WebhookEvent).where(WebhookEvent.event_id.in_(event_ids)).order_by(WebhookEvent.id)
    found = list(session.scalars(statement))
    known = {event.event_id for event in found}
    if absent := [event_id for event_id in event_ids if event_id not in known]:
        raise NotFoundError(f"not stored here: {', '.join(absent)}; `nself billing webhook events` lists what is")
    return found


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Whether anything was stored or done twice.

    Shape: `absorbed` deliveries came again and changed nothing; `stored_twice`, `under_two_accounts` (events that are
    stored again under another account and not marked as duplicates) and `effects_twice` must be empty.
    """

    events: int
    absorbed: int
    stored_twice: tuple[str, ...]
    under_two_accounts: tuple[str, ...]
    effects_twice: tuple[str, ...]


def find_duplicates(session: Session, *, limit: int = 20) -> Duplicates:
    """Look for event ids and effect keys that exist twice in one account."""
    events, absorbed = session.execute(
        text("SELECT count(*), coalesce(sum(deliveries - 1), 0)::bigint FROM billing.billing_webhook_events")
    ).one()
    return Duplicates(
        events=events,
        absorbed=absorbed,
        stored_twice=_list_twice(session, "billing_webhook_events", "event_id", limit),
        under_two_accounts=tuple(one.event_id for one in list_surplus(session, limit=limit)),
        effects_twice=_list_twice(session, "billing_effects", "effect_key", limit),
    )


@dataclass(frozen=True, slots=True)
class UnfinishedLane:
    """A lane whose last batch has not ended: at work, or left behind by a worker that died."""

    lane: int
    events: int
    batch_started_at: datetime
    crashes: int


def list_unfinished_lanes(session: Session) -> list[UnfinishedLane]:
    """Return the lanes with a batch under way, the oldest batch first."""
    statement = (
        select(Lane.lane, func.coalesce(func.cardinality(Lane.batch_row_ids), 0), Lane.batch_started_at, Lane.crashes)
        .where(Lane.batch_row_ids.is_not(None), Lane.batch_started_at.is_not(None))
        .order_by(Lane.batch_started_at)
    )
    return [
        UnfinishedLane(lane, events, started, crashes)
        for lane, events, started, crashes in session.execute(statement)
        if started is not None
    ]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What has not been applied; counts stop at a limit, so that looking costs the same in a flood."""

    pending: int
    oldest_pending_at: datetime | None
    failed: int
    quarantined: int
    parked: int


def count_backlog(session: Session, *, at_most: int = 100_000) -> Backlog:
    """Count what waits, by the queue and the partial index alone.

    Shape: `oldest_pending_at` leaves out objects that are parked: those wait on purpose.
    """
    parked = select(ParkedObject.object_key).where(ParkedObject.object_key == WebhookEvent.object_key).exists()
    oldest = select(func.min(WebhookEvent.received_at)).where(is_waiting(), ~parked)
    counts = {
        status: session.execute(
            select(func.count()).select_from(
                select(WebhookEvent.id).where(WebhookEvent.status == status, found).limit(at_most).subquery()
            )
        ).scalar_one()
        for status, found in (
            (EventStatus.PENDING, is_waiting()),
            *((status, WebhookEvent.stopped) for status in _STOPPED),
        )
    }
    return Backlog(
        pending=counts[EventStatus.PENDING],
        oldest_pending_at=session.execute(oldest).scalar_one(),
        failed=counts[EventStatus.FAILED],
        quarantined=counts[EventStatus.QUARANTINED],
        parked=session.execute(select(func.count()).select_from(ParkedObject)).scalar_one(),
    )


def _list_twice(session: Session, table: str, key: str, limit: int) -> tuple[str, ...]:
    statement = text(
        f"SELECT {key} FROM billing.{table} GROUP BY account_id, {key} "  # noqa: S608 - constants of this module
        "HAVING count(*) > 1 ORDER BY 1 LIMIT :limit"
    )
    return tuple(session.execute(statement, {"limit": limit}).scalars())


def _happened() -> list[str]:
    return sorted(source.value for source in HAPPENED)


def _is_about(session: Session, object_id: str) -> ColumnElement[bool]:
    """Match by the indexes on object key and customer; only an object of a type nobody mirrors costs a scan."""
    keys = possible_keys(session, object_id)
    indexed = or_(WebhookEvent.object_key.in_(keys), WebhookEvent.customer_id == object_id)
    found = session.execute(select(WebhookEvent.id).where(indexed).limit(1)).first()
    return indexed if found is not None else WebhookEvent.object_id == object_id
