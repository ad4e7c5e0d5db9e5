"""The statements that prune bodies: whole months are dropped, an object's last events are kept as its baseline.

A baseline is not a folded state but the very events it comes from: those of the object's newest pruned second, and of
the seconds before it back to one with a single event, whose state needs no other. They move into the default partition,
so the drain, a replay and a rebuild find them where every other body is (ADR 0008).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from billing_worker.inbox.states import HAPPENED
from billing_worker.kernel.periods import add_months

PARENT = "billing_webhook_payloads"
DEFAULT = f"{PARENT}_default"
DETACHED = "_detached"

UNFINISHED = ("pending", "failed", "quarantined")
"""Whose bodies are kept whatever their age: they may still be applied, or wait for a person."""

_MONTH = re.compile(rf"{PARENT}_(\d{{4}})_(\d{{2}})({DETACHED})?")


@dataclass(frozen=True, slots=True)
class PayloadMonth:
    """One month's bodies in a table of their own; detached ones were left by a run that died."""

    table: str
    start: datetime
    is_detached: bool

    @property
    def end(self) -> datetime:
        """Return the first instant after the month."""
        return add_months(self.start, 1)


_TABLES = text("SELECT tablename FROM pg_tables WHERE schemaname = 'billing' AND tablename LIKE :name")

_COUNT_UNFINISHED = text(
    "SELECT count(*) FROM (SELECT 1 FROM billing.billing_webhook_events WHERE status = ANY(:unfinished) "
    "AND received_at >= :start AND received_at < :end LIMIT :at_most) found"
)

_DECIDE = text(
    f"""
    WITH wanted AS MATERIALIZED (
        SELECT object_key FROM unnest(CAST(:keys AS text[])) AS given (object_key)
        WHERE NOT EXISTS (SELECT 1 FROM billing.billing_object_baselines b WHERE b.object_key = given.object_key
                            AND (b.pruned_until > :until OR (b.pruned_until = :until AND NOT :again)))
    ), mine AS MATERIALIZED (
        SELECT id, object_key, created, received_at, event_id, source = ANY(:happened) AS happened
        FROM wanted JOIN billing.billing_webhook_events USING (object_key) WHERE status = 'applied'
    ), boundary AS (
        SELECT object_key, max(created) FILTER (WHERE happened) AS event_at FROM mine
        WHERE received_at < :until GROUP BY object_key
    ), seconds AS (
        SELECT object_key, created, count(*) AS events FROM mine JOIN boundary USING (object_key)
        WHERE happened AND created <= event_at GROUP BY object_key, created
    ), counted AS (
        SELECT object_key, created, count(*) FILTER (WHERE events = 1) OVER (
            PARTITION BY object_key ORDER BY created DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS singles
        FROM seconds
    ), snapshots AS (
        SELECT DISTINCT ON (object_key) id, object_key, created, event_id FROM mine JOIN boundary USING (object_key)
        WHERE NOT happened AND received_at < :until AND (event_at IS NULL OR created > event_at)
        ORDER BY object_key, created DESC, id DESC
    ), needed AS (
        SELECT id, object_key, created, event_id FROM mine JOIN counted USING (object_key, created)
        WHERE happened AND received_at < :until AND singles = 0
        UNION ALL SELECT id, object_key, created, event_id FROM snapshots
    ), decided AS MATERIALIZED (
        SELECT object_key, min(created) AS created, array_agg(id ORDER BY created, id) AS row_ids,
               jsonb_build_object('event_ids', array_agg(event_id ORDER BY created, id)) AS body
        FROM needed GROUP BY object_key
    ), former AS (
        SELECT kept.id FROM decided JOIN billing.billing_object_baselines b USING (object_key)
        CROSS JOIN unnest(b.kept_row_ids) AS kept (id) JOIN billing.billing_webhook_events e ON e.id = kept.id
        WHERE kept.id <> ALL(decided.row_ids) AND e.status <> ALL(:unfinished)
    ), deleted AS (
        DELETE FROM billing.{DEFAULT} p USING former WHERE p.event_row_id = former.id RETURNING 1
    ), written AS (
        INSERT INTO billing.billing_object_baselines AS baseline
            (object_key, created, body, kept_at, kept_row_ids, pruned_until)
        SELECT object_key, created, body, :now, row_ids, :until FROM decided
        ON CONFLICT (object_key) DO UPDATE SET created = excluded.created, body = excluded.body,
            kept_at = excluded.kept_at, kept_row_ids = excluded.kept_row_ids, pruned_until = excluded.pruned_until
    )
    SELECT count(*) FROM deleted
    """  # noqa: S608 - names are constants of this module
)

_DELETE_UNKEPT = text(
    f"""
    DELETE FROM billing.{DEFAULT} p USING billing.billing_webhook_events e
    WHERE p.event_row_id = ANY(:ids) AND e.id = p.event_row_id
      AND NOT EXISTS (SELECT 1 FROM billing.billing_object_baselines b
                      WHERE b.object_key = e.object_key AND e.id = ANY(b.kept_row_ids))
    """  # noqa: S608 - names are constants of this module
)

_UNACCOUNTED = text(
    f"""
    SELECT e.id, e.object_key FROM billing.{DEFAULT} p
    JOIN billing.billing_webhook_events e ON e.id = p.event_row_id AND e.received_at = p.received_at
    LEFT JOIN billing.billing_object_baselines b ON b.object_key = e.object_key
    WHERE p.received_at < :until AND e.status <> ALL(:unfinished)
      AND NOT coalesce(e.id = ANY(b.kept_row_ids), false)
    ORDER BY e.id LIMIT :size
    """  # noqa: S608 - names are constants of this module
)


def list_months(session: Session, *, until: datetime) -> list[PayloadMonth]:
    """Return the months that lie wholly before an instant, what an earlier run left detached first."""
    found = [
        PayloadMonth(name, datetime(int(parts[1]), int(parts[2]), 1, tzinfo=UTC), is_detached=parts[3] is not None)
        for name in session.scalars(_TABLES, {"name": f"{PARENT}_%"})
        if (parts := _MONTH.fullmatch(name)) is not None
    ]
    old = (month for month in found if month.end <= until)
    return sorted(old, key=lambda month: (not month.is_detached, month.start))


def count_unfinished(session: Session, month: PayloadMonth, *, at_most: int) -> int:
    """Count the events of a month that are not at their end."""
    given = {"unfinished": list(UNFINISHED), "start": month.start, "end": month.end, "at_most": at_most}
    return int(session.execute(_COUNT_UNFINISHED, given).scalar_one())


def detach_month(session: Session, month: PayloadMonth) -> PayloadMonth:
    """Take a month out of the partitioned table; bodies that may still be applied stay in it.

    Locks: the partitioned table, exclusively and briefly: whoever sets no lock_timeout holds up intake.
    """
    detached = f"{month.table}{DETACHED}"
    session.execute(text(f"ALTER TABLE billing.{PARENT} DETACH PARTITION billing.{month.table}"))
    session.execute(text(f"ALTER TABLE billing.{month.table} RENAME TO {detached}"))
    session.execute(
        text(
            f"INSERT INTO billing.{PARENT} SELECT p.* FROM billing.billing_webhook_events e "  # noqa: S608 - table names
            f"JOIN billing.{detached} p ON p.event_row_id = e.id AND p.received_at = e.received_at "
            "WHERE e.status = ANY(:unfinished) AND e.received_at >= :start AND e.received_at < :end"
        ),
        {"unfinished": list(UNFINISHED), "start": month.start, "end": month.end},
    )
    return PayloadMonth(detached, month.start, is_detached=True)


def list_objects_after(session: Session, month: PayloadMonth, *, after: int, size: int) -> tuple[list[str], int | None]:
    """Return the objects of a detached month's next bodies, and the row id to go on after; None at the end."""
    rows = session.execute(
        text(
            f"SELECT p.event_row_id, e.object_key FROM billing.{month.table} p "  # noqa: S608 - table name
            "JOIN billing.billing_webhook_events e ON e.id = p.event_row_id "
            "WHERE p.event_row_id > :after ORDER BY p.event_row_id LIMIT :size"
        ),
        {"after": after, "size": size},
    ).all()
    return sorted({row.object_key for row in rows}), rows[-1].event_row_id if rows else None


def list_unaccounted(session: Session, *, until: datetime, size: int) -> tuple[list[int], list[str]]:
    """Return old bodies of the default partition that no baseline knows, and their objects."""
    rows = session.execute(_UNACCOUNTED, {"until": until, "unfinished": list(UNFINISHED), "size": size}).all()
    return [row.id for row in rows], sorted({row.object_key for row in rows})


def write_baselines(
    session: Session, keys: Sequence[str], *, until: datetime, now: datetime, again: bool = False
) -> int:
    """Decide which bodies of objects are kept when all others received before an instant go.

    Shape: bodies that the objects' former baselines kept and these do not are deleted and counted. `again` decides
    anew where it was decided for this very instant: events may have been applied since.
    Idempotent by: object and instant; a later instant replaces an earlier one, and stays.
    """
    happened = sorted(source.value for source in HAPPENED)
    given = {"keys": list(keys), "happened": happened, "until": until, "now": now, "again": again}
    given |= {"unfinished": list(UNFINISHED)}
    return int(session.execute(_DECIDE, given).scalar_one())


def keep_bodies(session: Session, month: PayloadMonth, keys: Sequence[str]) -> int:
    """Move what the baselines keep out of a detached month and return how many bodies that were."""
    result = cast(
        "CursorResult[Any]",
        session.execute(
            text(
                f"INSERT INTO billing.{PARENT} SELECT p.* FROM billing.billing_object_baselines b "  # noqa: S608 - table names
                "CROSS JOIN unnest(b.kept_row_ids) AS kept (id) "
                f"JOIN billing.{month.table} p ON p.event_row_id = kept.id "
                "WHERE b.object_key = ANY(:keys) ON CONFLICT DO NOTHING"
            ),
            {"keys": list(keys)},
        ),
    )
    return result.rowcount


def delete_unkept(session: Session, ids: Sequence[int]) -> int:
    """Delete those of some bodies in the default partition that no baseline keeps."""
    return cast("CursorResult[Any]", session.execute(_DELETE_UNKEPT, {"ids": list(ids)})).rowcount
