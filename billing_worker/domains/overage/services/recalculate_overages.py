"""Compute a user's overage again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.overage.errors import NoOverageError
from billing_worker.domains.overage.models import Overage
from billing_worker.domains.overage.pricing import Choice, Payer, PriceBook, unpack_price
from billing_worker.domains.overage.queries.overages import list_overages, lock_rows
from billing_worker.domains.overage.queries.payers import list_payers
from billing_worker.domains.overage.queries.periods import UsedPeriod, list_periods, note_accounted
from billing_worker.domains.overage.services.measure_periods import measure_periods
from billing_worker.domains.overage.services.write_overage import REWRITABLE, Figures, write_overage
from billing_worker.domains.overage.states import OverageStatus
from billing_worker.domains.quotas.queries.periods import lock_quotas
from billing_worker.domains.usage.rules import MetricCatalog


@dataclass(frozen=True, slots=True)
class Recalculated:
    """What became of one period: its newest row, what was done, and the charge of all its rows before and after.

    Shape: `waits` says that something is left to do.
    """

    row: Overage
    action: str
    before_minor: int
    after_minor: int
    waits: bool = False


def recalculate_overages(
    session: Session,
    user_id: str,
    book: PriceBook,
    *,
    metric_type: str | None,
    reason: str,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    now: datetime,
) -> list[Recalculated]:
    """Measure and price each of a user's periods anew, whatever was found out since.

    Shape: what Stripe has not heard of is rewritten, with today's price; what was billed keeps its price and gets an
    adjustment, a credit only for a `reason`. What Stripe refused is tried again.
    Locks: the periods' quotas, then their rows. Raises: NoOverageError.
    """
    stored = list_overages(session, user_id, metric_type=metric_type)
    if not stored:
        raise NoOverageError(f"user {user_id} has no overage: `nself billing quota show-overage --user {user_id}`")
    ids = sorted({row.quota_period_id for row in stored})
    lock_quotas(session, sorted({period.quota_id for period in list_periods(session, ids)}))
    periods = list_periods(session, ids)
    measured = measure_periods(session, periods, metrics=metrics, zone=zone)
    rows = lock_rows(session, ids)
    payer = list_payers(session, [user_id]).get(user_id)
    done = []
    for period, used in zip(periods, measured, strict=True):
        figures = _figures(period, rows[period.id], used, book, payer, reason)
        done.append(_recalculate(session, period, rows[period.id], figures, now))
    note_accounted(session, [(period.id, used) for period, used in zip(periods, measured, strict=True)])
    return done


def _recalculate(
    session: Session, period: UsedPeriod, rows: Sequence[Overage], figures: Figures, now: datetime
) -> Recalculated:
    before = sum(row.amount_minor for row in rows)
    newest = rows[-1]
    if any(row.status is OverageStatus.BILLING for row in rows):
        return Recalculated(newest, "being billed now: repeat it later", before, before, waits=True)
    was_open = newest.status in REWRITABLE
    with session.begin_nested() as savepoint:
        written = write_overage(session, period, rows, figures, may_credit=True, now=now)
        if written is None:
            return Recalculated(newest, "unchanged", before, before)
        after = written.amount_minor + sum(row.amount_minor for row in rows if row is not written)
        if written.amount_minor < 0 and not figures.reason:
            savepoint.rollback()
            return Recalculated(newest, "a credit is due: add --reason", before, after, waits=True)
    return Recalculated(written, "rewritten" if was_open else "adjusted", before, after)


def _figures(
    period: UsedPeriod, rows: Sequence[Overage], measured: int, book: PriceBook, payer: Payer | None, reason: str
) -> Figures:
    newest = rows[-1]
    if len(rows) == 1 and newest.status in REWRITABLE:
        choice = book.choose(period.metric_type, payer, since=period.period.start)
        return Figures(measured, measured, period.granted, choice, payer, reason=reason)
    # What was charged stays priced as it was; what an operator corrected stays corrected.
    used = max(0, newest.used_value + measured - newest.measured_value)
    choice = Choice(unpack_price(newest.price) if newest.price else None)
    return Figures(used, measured, newest.granted_value, choice, payer, source=newest.source, reason=reason)
