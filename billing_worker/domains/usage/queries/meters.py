"""SQL of the journal of meter events: what Stripe's meters were told, are being told, and are still to be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

_ENTRY = (
    "id, account_id, identifier, event_name, customer_id, value::bigint, occurred_at, cancels, attempts, "
    "first_called_at"
)


class MeterMark(NamedTuple):
    """An hour of a metered metric that has changed, and whose customer the user is."""

    user_id: str
    metric_type: str
    bucket_start: datetime
    account_id: str
    customer_id: str


class Told(NamedTuple):
    """What the journal has of one segment: the sum of what was or will be told, and the newest generation."""

    total: int
    generation: int


class NewEntry(NamedTuple):
    """One event to be told."""

    account_id: str
    identifier: str
    event_name: str
    customer_id: str
    value: int
    occurred_at: datetime
    user_id: str
    metric_type: str
    segment_start: datetime
    segment_end: datetime
    generation: int
    cancels: str | None
    status: str
    detail: str


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One event that is being told."""

    id: int
    account_id: str
    identifier: str
    event_name: str
    customer_id: str
    value: int
    occurred_at: datetime
    cancels: str | None
    attempts: int
    first_called_at: datetime | None


def take_marks(session: Session, *, before: datetime, limit: int) -> list[MeterMark]:
    """Take away the marks of closed hours of users that are customers; those of others wait for their link."""
    statement = text(
        "WITH taken AS (SELECT m.id, l.account_id, l.customer_id FROM billing.billing_meter_marks m "
        "    JOIN LATERAL (SELECT account_id, customer_id FROM billing.billing_customer_users c "
        "        WHERE c.user_id = m.user_id ORDER BY account_id, customer_id LIMIT 1) l ON true "
        "    WHERE m.bucket_start < :before ORDER BY m.id LIMIT :limit), "
        "gone AS (DELETE FROM billing.billing_meter_marks m USING taken t WHERE m.id = t.id "
        "    RETURNING m.user_id, m.metric_type, m.bucket_start, t.account_id, t.customer_id) "
        "SELECT DISTINCT * FROM gone ORDER BY 1, 2, 3"
    )
    return [MeterMark(*row) for row in session.execute(statement, {"before": before, "limit": limit})]


def list_period_boundaries(session: Session, customers: Sequence[str]) -> dict[str, list[datetime]]:
    """Return the instants at which the customers' billing periods end and begin."""
    statement = text(
        "SELECT customer_id, b.boundary FROM billing.billing_subscriptions s, "
        "LATERAL (VALUES (s.current_period_start), (s.current_period_end)) AS b (boundary) "
        "WHERE s.customer_id = ANY(:customers) AND b.boundary IS NOT NULL ORDER BY 1, 2"
    )
    found: dict[str, list[datetime]] = {}
    for customer, boundary in session.execute(statement, {"customers": list(customers)}):
        found.setdefault(customer, []).append(boundary)
    return found


def find_told(session: Session, user_id: str, metric: str, segment_start: datetime) -> Told:
    """Return what the journal has of a segment."""
    statement = text(
        "SELECT coalesce(sum(value) FILTER (WHERE status <> 'failed'), 0)::bigint, coalesce(max(generation), 0) "
        "FROM billing.billing_meter_events "
        "WHERE user_id = :user_id AND metric_type = :metric AND segment_start = :segment_start"
    )
    parameters = {"user_id": user_id, "metric": metric, "segment_start": segment_start}
    return Told(*session.execute(statement, parameters).one())


def find_cancellable(
    session: Session, user_id: str, metric: str, segment_start: datetime, *, value: int, sent_after: datetime
) -> str | None:
    """Return an event of exactly this value that can still be cancelled."""
    statement = text(
        "SELECT e.identifier FROM billing.billing_meter_events e "
        "WHERE e.user_id = :user_id AND e.metric_type = :metric AND e.segment_start = :segment_start "
        "AND e.status = 'sent' AND e.value = :value AND e.cancels IS NULL AND e.sent_at > :sent_after "
        "AND NOT EXISTS (SELECT 1 FROM billing.billing_meter_events c WHERE c.cancels = e.identifier "
        "    AND c.user_id = e.user_id AND c.metric_type = e.metric_type AND c.segment_start = e.segment_start) "
        "ORDER BY e.id DESC LIMIT 1"
    )
    parameters = {"user_id": user_id, "metric": metric, "segment_start": segment_start, "value": value}
    return session.execute(statement, {**parameters, "sent_after": sent_after}).scalar_one_or_none()


def insert_entry(session: Session, entry: NewEntry, *, now: datetime) -> None:
    """Store an event before Stripe is told of it."""
    statement = text(
        "INSERT INTO billing.billing_meter_events (account_id, identifier, event_name, customer_id, value, "
        "occurred_at, user_id, metric_type, segment_start, segment_end, generation, cancels, status, detail, "
        "created_at, next_attempt_at) VALUES (:account_id, :identifier, :event_name, :customer_id, :value, "
        ":occurred_at, :user_id, :metric_type, :segment_start, :segment_end, :generation, :cancels, :status, :detail, "
        ":now, :now)"
    )
    session.execute(statement, {**entry._asdict(), "now": now})


def claim_entry(session: Session, *, lease: timedelta, now: datetime) -> JournalEntry | None:
    """Take one event that is due, or whose teller has died.

    Order: an event's cancellation comes after it: by id.
    Shape: the lease is in wall time; a simulated clock may jump.
    """
    statement = text(
        "UPDATE billing.billing_meter_events SET status = 'sending', attempts = attempts + 1, "  # noqa: S608 - constant
        "first_called_at = coalesce(first_called_at, :now), lease_until = clock_timestamp() + :lease "
        "WHERE id = (SELECT id FROM billing.billing_meter_events "
        "    WHERE status IN ('pending', 'sending') AND next_attempt_at <= :now "
        "    AND (status = 'pending' OR lease_until < clock_timestamp()) "
        f"    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {_ENTRY}"
    )
    row = session.execute(statement, {"now": now, "lease": lease}).one_or_none()
    return None if row is None else JournalEntry(*row)


def finish_entry(session: Session, entry_id: int, status: str, *, detail: str, now: datetime) -> None:
    """Store how an event ended."""
    statement = text(
        "UPDATE billing.billing_meter_events SET status = :status, detail = :detail, lease_until = NULL, "
        "sent_at = CASE WHEN :status = 'sent' THEN :now END WHERE id = :id"
    )
    session.execute(statement, {"id": entry_id, "status": status, "detail": detail, "now": now})


def postpone_entry(session: Session, entry_id: int, *, until: datetime, never_called: bool, detail: str) -> None:
    """Let an event come again; `never_called` says that Stripe has certainly not taken it."""
    statement = text(
        "UPDATE billing.billing_meter_events SET status = 'pending', next_attempt_at = :until, lease_until = NULL, "
        "detail = :detail, first_called_at = CASE WHEN :never_called THEN NULL ELSE first_called_at END WHERE id = :id"
    )
    parameters = {"id": entry_id, "until": until, "never_called": never_called, "detail": detail}
    session.execute(statement, parameters)


def make_negative_event(session: Session, entry_id: int) -> None:
    """Tell the negative value instead of a cancellation that came too late."""
    statement = text(
        "UPDATE billing.billing_meter_events SET status = 'pending', cancels = NULL, lease_until = NULL, "
        "first_called_at = NULL, detail = 'too late to cancel' WHERE id = :id"
    )
    session.execute(statement, {"id": entry_id})


def sum_told(
    session: Session, customer_id: str, event_name: str, start: datetime, end: datetime, *, without: int = 0
) -> int:
    """Add up what Stripe has certainly been told of a customer in a time."""
    statement = text(
        "SELECT coalesce(sum(value), 0)::bigint FROM billing.billing_meter_events "
        "WHERE customer_id = :customer_id AND event_name = :event_name AND status = 'sent' AND id <> :without "
        "AND occurred_at >= :start AND occurred_at < :end"
    )
    parameters = {"customer_id": customer_id, "event_name": event_name, "start": start, "end": end}
    return int(session.execute(statement, {**parameters, "without": without}).scalar_one())


def find_meter(session: Session, account_id: str, event_name: str) -> str | None:
    """Return the id of the active meter of an event name."""
    statement = text(
        "SELECT id FROM billing.billing_meters WHERE account_id = :account_id AND event_name = :event_name "
        "AND status = 'active' AND deleted_at IS NULL ORDER BY id LIMIT 1"
    )
    return session.execute(statement, {"account_id": account_id, "event_name": event_name}).scalar_one_or_none()


def count_due(session: Session, *, now: datetime, before: datetime) -> int:
    """Count, up to one, what is to be planned or told."""
    statement = text(
        "SELECT count(*) FROM (SELECT 1 FROM billing.billing_meter_events "
        "    WHERE status IN ('pending', 'sending') AND next_attempt_at <= :now "
        "    AND (status = 'pending' OR lease_until < clock_timestamp()) "
        "UNION ALL SELECT 1 FROM billing.billing_meter_marks m JOIN billing.billing_customer_users c USING (user_id) "
        "    WHERE m.bucket_start < :before LIMIT 1) AS due"
    )
    return int(session.execute(statement, {"now": now, "before": before}).scalar_one())


def count_entries(session: Session) -> dict[str, int]:
    """Count events by status."""
    statement = text("SELECT status, count(*) FROM billing.billing_meter_events GROUP BY 1 ORDER BY 1")
    return {status: int(count) for status, count in session.execute(statement)}
