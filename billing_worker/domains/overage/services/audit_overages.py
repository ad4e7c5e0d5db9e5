"""Check a user's overage against records, prices and Stripe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.overage.models import Overage
from billing_worker.domains.overage.pricing import hash_inputs, unpack_price
from billing_worker.domains.overage.queries.overages import list_overages
from billing_worker.domains.overage.queries.payers import find_item
from billing_worker.domains.overage.queries.periods import list_periods
from billing_worker.domains.overage.rules import compute_charge, compute_overage_units
from billing_worker.domains.overage.services.measure_periods import measure_periods
from billing_worker.domains.overage.states import OverageStatus
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.kernel.periods import Period


@dataclass(frozen=True, slots=True)
class AuditedOverage:
    """One row beside what it was made of; amounts in minor units, `at_stripe_minor` of its invoice item."""

    row: Overage
    records_say: int
    computed_minor: int
    at_stripe_minor: int | None
    problems: tuple[str, ...]


def audit_overages(
    session: Session, user_id: str, *, metric_type: str | None, metrics: MetricCatalog, zone: ZoneInfo
) -> list[AuditedOverage]:
    """Compute every row anew from records and kept price, and hold it against its item in the mirror."""
    rows = list_overages(session, user_id, metric_type=metric_type)
    by_period: dict[int, list[Overage]] = {}
    for row in rows:
        by_period.setdefault(row.quota_period_id, []).append(row)
    periods = list_periods(session, sorted(by_period))
    measured = measure_periods(session, periods, metrics=metrics, zone=zone)
    found = {period.id: used for period, used in zip(periods, measured, strict=True)}
    return [
        audited
        for period_id, of_period in by_period.items()
        for audited in _audit_period(session, of_period, found[period_id])
    ]


def _audit_period(session: Session, rows: Sequence[Overage], measured: int) -> Iterator[AuditedOverage]:
    before = 0
    for row in rows:
        computed = _total(row) - before
        before += row.amount_minor
        item = find_item(session, row.invoice_item_id) if row.invoice_item_id else None
        at_stripe = item.data.get("amount") if item and item.deleted_at is None else None
        problems = list(_problems(row, computed, measured, is_newest=row is rows[-1]))
        if row.status is OverageStatus.BILLED and at_stripe != row.amount_minor:
            problems.append(
                f"invoice item {row.invoice_item_id} is "
                + ("gone at Stripe, or not in the mirror yet" if at_stripe is None else f"{at_stripe} at Stripe")
            )
        yield AuditedOverage(row, measured, computed, at_stripe, tuple(problems))


def _total(row: Overage) -> int:
    if row.price is None:
        return 0
    units = compute_overage_units(used=row.used_value, limit=row.granted_value)
    return compute_charge(unpack_price(row.price), units).amount_minor


def _problems(row: Overage, computed: int, measured: int, *, is_newest: bool) -> Iterator[str]:
    period = Period(row.period_start, row.period_end)
    inputs = hash_inputs(
        row.user_id, row.metric_type, period, used=row.used_value, granted=row.granted_value, price=row.price
    )
    if inputs != row.inputs_sha256:
        yield "its inputs are not those it was computed from"
    if computed != row.amount_minor:
        yield f"its inputs give {computed}"
    if is_newest and measured != row.measured_value:
        yield (
            f"the records say {measured} now, {row.measured_value} then: "
            f"`nself billing overage recalculate --user {row.user_id}`"
        )
    if row.status is OverageStatus.FAILED:
        yield f"Stripe refused it: {row.detail}; `nself billing overage recalculate --user {row.user_id}` tries again"
