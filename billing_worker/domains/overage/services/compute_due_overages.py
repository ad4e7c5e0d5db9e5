"""Compute the overage of quota periods that have ended, and of late records after that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.overage.models import Overage
from billing_worker.domains.overage.pricing import Choice, Payer, PriceBook, unpack_price
from billing_worker.domains.overage.queries.overages import lock_rows
from billing_worker.domains.overage.queries.payers import list_payers
from billing_worker.domains.overage.queries.periods import UsedPeriod, list_due_periods, list_periods, note_accounted
from billing_worker.domains.overage.services.measure_periods import measure_periods
from billing_worker.domains.overage.services.write_overage import Figures, write_overage
from billing_worker.domains.overage.states import OverageSource, OverageStatus
from billing_worker.domains.quotas.queries.periods import lock_quotas
from billing_worker.domains.usage.rules import MetricCatalog

BATCH = 200

_log = structlog.get_logger(__name__)


def compute_due_overages(
    unit_of_work: UnitOfWork, book: PriceBook, *, metrics: MetricCatalog, zone: ZoneInfo
) -> Mapping[str, int]:
    """Write the overage of every due period, in batches, and count the statuses of what was written.

    Idempotent by: what each period is accounted for, and the rows' keys. Locks: the periods' quotas, then their rows.
    """
    written: Counter[str] = Counter()
    while True:
        with unit_of_work.transaction() as session:
            now = unit_of_work.now()
            due = list_due_periods(session, now, size=BATCH)
            if not due:
                return written
            lock_quotas(session, sorted({one.quota_id for one in due}))
            periods = list_periods(session, [one.id for one in due])
            written.update(_account(session, periods, book, metrics=metrics, zone=zone, now=now))


def _account(
    session: Session,
    periods: Sequence[UsedPeriod],
    book: PriceBook,
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    now: datetime,
) -> Counter[str]:
    measured = measure_periods(session, periods, metrics=metrics, zone=zone)
    payers = list_payers(session, {one.user_id for one in periods})
    rows = lock_rows(session, [one.id for one in periods])
    written: Counter[str] = Counter()
    for period, used in zip(periods, measured, strict=True):
        if used <= period.granted and not rows[period.id]:
            continue
        figures = _figures(period, rows[period.id], used, book, payers.get(period.user_id))
        row = write_overage(session, period, rows[period.id], figures, may_credit=False, now=now)
        if row is not None:
            written[row.status.value] += 1
            _log.info(
                "overage_computed",
                overage_key=row.overage_key,
                status=row.status.value,
                units=row.units,
                amount_minor=row.amount_minor,
                currency=row.currency,
            )
    note_accounted(session, [(period.id, used) for period, used in zip(periods, measured, strict=True)])
    return written


def _figures(
    period: UsedPeriod, rows: Sequence[Overage], measured: int, book: PriceBook, payer: Payer | None
) -> Figures:
    if not rows:
        choice = book.choose(period.metric_type, payer, since=period.period.start)
        return Figures(measured, measured, period.granted, choice, payer)
    newest = rows[-1]
    # What an operator corrected stays corrected; records that came since are added.
    used = max(0, newest.used_value + measured - newest.measured_value)
    if newest.status is OverageStatus.UNBILLABLE:
        choice = Choice(None, newest.detail)
    else:
        choice = Choice(unpack_price(newest.price) if newest.price else None)
    is_corrected = newest.source is OverageSource.OPERATOR
    return Figures(
        used,
        measured,
        newest.granted_value if is_corrected else period.granted,
        choice,
        payer,
        source=newest.source,
        reason=newest.reason,
    )
