"""Move old raw records elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from billing_worker.database.locks import LockClass, hold_lock
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.archive_stores import ArchiveStore
from billing_worker.domains.usage.errors import ArchiveError
from billing_worker.domains.usage.parquet import COLUMNS, read_parquet, write_parquet
from billing_worker.domains.usage.queries import archives
from billing_worker.domains.usage.queries.archives import Archive
from billing_worker.domains.usage.queries.records import iterate_records
from billing_worker.domains.usage.queries.uniques import keep_all_keys
from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan
from billing_worker.domains.usage.services.explain_usage import hash_records
from billing_worker.domains.usage.services.measure_usage import measure_usage
from billing_worker.domains.usage.states import Formula
from billing_worker.kernel.periods import Period, add_months

RECORDS_PER_PAGE = 50_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ArchivedMonth:
    """A month that was archived, or would be."""

    month: Period
    records: int
    location: str
    content_sha256: str


def archive_usage(
    unit_of_work: UnitOfWork,
    store: ArchiveStore,
    *,
    before: datetime,
    closed_periods: Sequence[UsageSpan],
    metrics: MetricCatalog,
    zone: ZoneInfo,
    is_dry_run: bool,
) -> list[ArchivedMonth]:
    """Write every whole month that ended before a time to the store, read it back, and only then drop it here.

    Phases: per month: read; upload and verify without any transaction; one transaction that freezes the closed periods
    touching the month and drops its records, if they are still those that were written.
    Shape: rollups and batches stay; `closed_periods` are those whose ends may lie inside a bucket.
    Locks: intake and aggregation wait while a month is dropped, a moment.
    Raises: ArchiveError; months before it stay archived.
    """
    with unit_of_work.transaction() as session:
        starts = archives.list_months(session, before)
    months = [Period(start, add_months(start, 1)) for start in starts]
    return [
        _archive(unit_of_work, store, month, closed_periods, metrics=metrics, zone=zone, is_dry_run=is_dry_run)
        for month in months
    ]


def _archive(
    unit_of_work: UnitOfWork,
    store: ArchiveStore,
    month: Period,
    closed_periods: Sequence[UsageSpan],
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    is_dry_run: bool,
) -> ArchivedMonth:
    with unit_of_work.transaction() as session:
        count, total, waiting = archives.measure_month(session, month)
        if waiting:
            raise ArchiveError(
                f"{waiting} records of {month.start:%Y-%m} are not aggregated: nself billing usage aggregate"
            )
        if is_dry_run:
            return ArchivedMonth(month, count, "", "")
        content = write_parquet(archives.list_pages(session, month, COLUMNS, size=RECORDS_PER_PAGE))
    digest = sha256(content).hexdigest()
    location = store.put(f"billing_usage_{month.start:%Y_%m}-{digest[:12]}.parquet", content)
    kept = store.get(location)
    if sha256(kept).hexdigest() != digest or len(read_parquet(kept)) != count:
        raise ArchiveError(f"{location} is not what was written; nothing was dropped")
    now = unit_of_work.now()
    with unit_of_work.transaction() as session:
        hold_lock(session, LockClass.USAGE_FREEZE, 0)
        hold_lock(session, LockClass.USAGE_AGGREGATION, 0)
        if archives.measure_month(session, month) != (count, total, 0):
            raise ArchiveError(
                f"{month.start:%Y-%m} got records while it was written; nothing was dropped: run it again"
            )
        touched = [one for one in closed_periods if one.period.start < month.end and one.period.end > month.start]
        _freeze(session, [one for one in touched if one.period.end <= now], metrics=metrics, zone=zone, now=now)
        keep_all_keys(session, month, zone, unique_metrics=metrics.of_formula(Formula.UNIQUE))
        archive = Archive(0, month.start, month.end, location, digest, count, total, now, None)
        archives.set_dropped(session, archives.insert_archive(session, archive), now)
        archives.drop_month(session, month)
    _log.info("usage_archived", month=f"{month.start:%Y-%m}", records=count, location=location, sha256=digest)
    return ArchivedMonth(month, count, location, digest)


def _freeze(
    session: Session, periods: Sequence[UsageSpan], *, metrics: MetricCatalog, zone: ZoneInfo, now: datetime
) -> None:
    for span, measured in zip(periods, measure_usage(session, periods, metrics=metrics, zone=zone), strict=True):
        if archives.find_archived(session, span.period) is not None:
            continue  # frozen when its first month was archived
        records = iterate_records(session, span.user_id, span.metric_type, span.period)
        archives.freeze_period(
            session,
            span.user_id,
            span.metric_type,
            span.period,
            total=measured.value,
            records=measured.record_count,
            digest=hash_records(records),
            now=now,
        )
