"""What the checks and the overview read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from schedules import JOBS

COUNT_LIMIT = 10_000
"""Counts stop here: more than this is the same news."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What PostgreSQL says of itself.

    Units: `longest_transaction` is the age of the oldest transaction of any client, on the database's own clock.
    """

    version: str
    database: str
    user: str
    started_at: datetime
    size_bytes: int
    connections: int
    max_connections: int
    longest_transaction: timedelta
    waiting_for_locks: int


def read_server(session: Session) -> ServerFacts:
    """Read version, size, connections and what blocks."""
    row = session.execute(
        text(
            """
            SELECT current_setting('server_version'), current_database(), current_user, pg_postmaster_start_time(),
                   pg_database_size(current_database()),
                   (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
                   current_setting('max_connections')::int
                       - current_setting('superuser_reserved_connections')::int,
                   (SELECT coalesce(max(clock_timestamp() - xact_start), interval '0') FROM pg_stat_activity
                    WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
                      AND datname = current_database()),
                   (SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                      AND datname = current_database())
            """
        )
    ).one()
    return ServerFacts(*row)


def find_revision(session: Session) -> str | None:
    """Return the migration the schema is at, None where there is no schema."""
    if session.execute(text("SELECT to_regclass('billing.alembic_version')")).scalar_one() is None:
        return None
    found: str | None = session.execute(text("SELECT version_num FROM billing.alembic_version")).scalar_one_or_none()
    return found


@dataclass(frozen=True, slots=True)
class Installation:
    """Whom the database belongs to."""

    account_id: str
    livemode: bool
    stripe_is: str


def find_installation(session: Session) -> Installation | None:
    """Return whom the database is bound to, None before the first start with a reachable Stripe."""
    row = session.execute(
        text("SELECT account_id, livemode, stripe_is FROM billing.billing_installation WHERE id = 1")
    ).one_or_none()
    return None if row is None else Installation(*row)


def list_filled_default_partitions(session: Session) -> list[str]:
    """Return the partitioned tables with rows that belong into a month's partition.

    Shape: bodies of events before every month's partition are baselines, which pruning keeps in the default one.
    """
    months = text(
        "SELECT to_date(min(right(c.relname, 7)), 'YYYY_MM') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = CAST(:parent AS regclass) AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'"
    )
    filled = []
    for name in ("billing_usage", "billing_webhook_payloads"):
        first = session.execute(months, {"parent": f"billing.{name}"}).scalar_one()
        is_kept = name == "billing_webhook_payloads" and first is not None
        since = "WHERE received_at >= :first" if is_kept else ""
        statement = text(f"SELECT EXISTS (SELECT 1 FROM billing.{name}_default {since})")  # noqa: S608 - constants
        if session.execute(statement, {"first": first} if is_kept else {}).scalar_one():
            filled.append(name)
    return filled


def find_beat_leader(session: Session) -> str | None:
    """Return which Beat leads; its lease counts in the database's own time."""
    holder: str | None = session.execute(
        text("SELECT holder FROM billing.billing_leases WHERE name = 'beat' AND expires_at > clock_timestamp()")
    ).scalar_one_or_none()
    return holder


@dataclass(frozen=True, slots=True)
class ScheduleFigures:
    """How the schedules keep time.

    Shape: `late` runs are due and not begun, or their worker died; `unscheduled` jobs have a due slot without run.
    """

    late: int
    oldest_late_at: datetime | None
    latest_job: str | None
    unscheduled: int
    failed: int


def read_schedules(session: Session, now: datetime, *, failed_since: datetime) -> ScheduleFigures:
    """Read what is late now and what failed since an instant.

    Shape: a run that waits for its next attempt is not late; running ones under a lease are at work. Jobs of earlier
    releases have rows that nobody schedules any more: only today's count.
    """
    row = session.execute(
        text(
            """
            WITH late AS (
                SELECT job, due_at FROM billing.billing_schedule_runs
                WHERE status IN ('due', 'running') AND due_at <= :now
                  AND (status = 'due' AND (not_before IS NULL OR not_before <= :now)
                       OR status = 'running' AND lease_until < clock_timestamp())
                ORDER BY due_at, job LIMIT :limit
            )
            SELECT (SELECT count(*) FROM late), (SELECT min(due_at) FROM late),
                   (SELECT job FROM late ORDER BY due_at, job LIMIT 1),
                   (SELECT count(*) FROM billing.billing_schedule_jobs
                        WHERE next_due_at <= :tick_grace AND job = ANY(:known)),
                   (SELECT count(*) FROM (SELECT 1 FROM billing.billing_schedule_runs
                        WHERE status = 'failed' AND finished_at >= :failed_since LIMIT :limit) failed)
            """
        ),
        {
            "now": now,
            "tick_grace": now - timedelta(minutes=1),
            "failed_since": failed_since,
            "limit": COUNT_LIMIT,
            "known": sorted(JOBS),
        },
    ).one()
    return ScheduleFigures(*row)


@dataclass(frozen=True, slots=True)
class EffectFigures:
    """Effects and intents that wait or stopped."""

    due: int
    oldest_due_at: datetime | None
    failed: int
    unknown: int
    intents_open: int
    intents_parked: int


def read_effects(session: Session, now: datetime) -> EffectFigures:
    """Count effects and intents by what they need."""
    row = session.execute(
        text(
            """
            WITH due AS (
                SELECT next_attempt_at FROM billing.billing_effects
                WHERE status IN ('pending', 'running') AND next_attempt_at <= :now LIMIT :limit
            )
            SELECT (SELECT count(*) FROM due), (SELECT min(next_attempt_at) FROM due),
                   (SELECT count(*) FROM (SELECT 1 FROM billing.billing_effects
                        WHERE status = 'failed' LIMIT :limit) f),
                   (SELECT count(*) FROM (SELECT 1 FROM billing.billing_effects
                        WHERE status = 'unknown' LIMIT :limit) u),
                   (SELECT count(*) FROM billing.billing_intents WHERE status IN ('pending', 'calling')),
                   (SELECT count(*) FROM billing.billing_intents WHERE status = 'parked')
            """
        ),
        {"now": now, "limit": COUNT_LIMIT},
    ).one()
    return EffectFigures(*row)


@dataclass(frozen=True, slots=True)
class OverdueResets:
    """Quota periods that are over and not closed."""

    periods: int
    oldest_end: datetime | None


def read_overdue_resets(session: Session, before: datetime) -> OverdueResets:
    """Count open quota periods that ended before an instant."""
    row = session.execute(
        text(
            "SELECT count(*), min(period_end) FROM (SELECT period_end FROM billing.billing_quota_periods "
            "WHERE status = 'open' AND period_end <= :before ORDER BY period_end LIMIT :limit) overdue"
        ),
        {"before": before, "limit": COUNT_LIMIT},
    ).one()
    return OverdueResets(*row)


@dataclass(frozen=True, slots=True)
class LastReconciliation:
    """How the last comparison with Stripe went."""

    status: str
    started_at: datetime
    compared: int
    differing: int
    healed: int


def find_last_reconciliation(session: Session) -> LastReconciliation | None:
    """Return the newest run, None before the first."""
    row = session.execute(
        text(
            "SELECT status, started_at, compared, differing, healed FROM billing.billing_reconciliation_runs "
            "ORDER BY id DESC LIMIT 1"
        )
    ).one_or_none()
    return None if row is None else LastReconciliation(*row)


def count_waiting_payments(session: Session) -> int:
    """Count stored payments that have not ended."""
    found: int = session.execute(
        text("SELECT count(*) FROM billing.billing_payment_queue WHERE status IN ('queued', 'released')")
    ).scalar_one()
    return found


@dataclass(frozen=True, slots=True)
class TableSize:
    """How large a table is, partitions and indexes included; `rows` is the planner's estimate."""

    table: str
    size_bytes: int
    rows: int


def list_largest_tables(session: Session, *, limit: int) -> list[TableSize]:
    """Return the largest tables of schema billing, partitions counted with their table."""
    rows = session.execute(
        text(
            """
            SELECT coalesce(pg_partition_root(c.oid), c.oid)::regclass::text AS name,
                   sum(pg_total_relation_size(c.oid))::bigint AS size, sum(greatest(c.reltuples, 0))::bigint
            FROM pg_class c
            WHERE c.relnamespace = to_regnamespace('billing') AND c.relkind = 'r'
            GROUP BY name ORDER BY size DESC, name LIMIT :limit
            """
        ),
        {"limit": limit},
    )
    return [TableSize(*row) for row in rows]
