"""Prune the bodies of old events, month by month, and keep each object's baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.pruning import (
    PayloadMonth,
    count_unfinished,
    delete_unkept,
    detach_month,
    keep_bodies,
    list_months,
    list_objects_after,
    list_unaccounted,
    write_baselines,
)
from billing_worker.kernel.errors import RetryableError

BATCH = 500
"""Bodies looked at per transaction."""

UNFINISHED_AT_MOST = 1000
"""They are moved while intake waits; more of them is a problem that pruning must not hide."""

LOCK_TIMEOUT = "1s"
"""How long deliveries may be held up by a detach that waits for somebody else's query."""

_log = structlog.get_logger(__name__)


class TableInUseError(RetryableError):
    """The table of bodies is in use by a long query; nothing was pruned, a later run tries again."""


@dataclass
class PruneReport:
    """What was pruned: months dropped, months held back by events that wait for a person, bodies kept and deleted."""

    months: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    kept: int = 0
    deleted: int = 0


def prune_payloads(unit_of_work: UnitOfWork, *, keep: timedelta) -> PruneReport:
    """Drop the months of bodies that lie wholly before the retention; event ids and rows stay for ever.

    Phases: per month a detach; then baselines and their bodies in batches; then the drop. What dies in between is found
    detached by the next run, which begins that month's batches anew.
    Idempotent by: the table's name, and the object of each baseline.
    Locks: the table of bodies, for the detach.
    Raises: TableInUseError.
    """
    report = PruneReport()
    until = unit_of_work.now() - keep
    with unit_of_work.transaction() as session:
        months = list_months(session, until=until)
    for month in months:
        detached = month if month.is_detached else _detach(unit_of_work, month)
        if detached is None:
            report.held.append(f"{month.start:%Y-%m}")
            continue
        _keep(unit_of_work, detached, report)
        with unit_of_work.transaction() as session:
            session.execute(text(f"DROP TABLE billing.{detached.table}"))
        report.months.append(f"{month.start:%Y-%m}")
        _log.info("payloads_pruned", month=report.months[-1], kept=report.kept)
    _prune_default(unit_of_work, until, report)
    return report


def _detach(unit_of_work: UnitOfWork, month: PayloadMonth) -> PayloadMonth | None:
    try:
        with unit_of_work.transaction() as session:
            if count_unfinished(session, month, at_most=UNFINISHED_AT_MOST) == UNFINISHED_AT_MOST:
                _log.warning("payloads_held", month=f"{month.start:%Y-%m}", unfinished=UNFINISHED_AT_MOST)
                return None
            session.execute(text("SELECT set_config('lock_timeout', :limit, true)"), {"limit": LOCK_TIMEOUT})
            return detach_month(session, month)
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != "55P03":  # lock_not_available
            raise
        raise TableInUseError from error


def _keep(unit_of_work: UnitOfWork, month: PayloadMonth, report: PruneReport) -> None:
    after: int | None = 0
    while after is not None:
        with unit_of_work.transaction() as session:
            keys, after = list_objects_after(session, month, after=after, size=BATCH)
            report.deleted += write_baselines(session, keys, until=month.end, now=unit_of_work.now())
            report.kept += keep_bodies(session, month, keys)


def _prune_default(unit_of_work: UnitOfWork, until: datetime, report: PruneReport) -> None:
    """Do the same for months that have no partition of their own: bodies that came before one was made."""
    cut = until.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while True:
        with unit_of_work.transaction() as session:
            ids, keys = list_unaccounted(session, until=cut, size=BATCH)
            if not ids:
                return
            report.deleted += write_baselines(session, keys, until=cut, now=unit_of_work.now(), again=True)
            report.deleted += delete_unkept(session, ids)
