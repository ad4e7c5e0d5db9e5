"""Bring the rows of a quota period to what the period costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing_worker.domains.overage.models import Overage
from billing_worker.domains.overage.pricing import Choice, Payer, hash_inputs, pack_price
from billing_worker.domains.overage.queries.periods import UsedPeriod
from billing_worker.domains.overage.rules import Charge, compute_charge, compute_overage_units
from billing_worker.domains.overage.states import OPEN, OverageKind, OverageSource, OverageStatus

NO_CUSTOMER = "no customer belongs to the user: `nself billing customer link` connects one"
AMOUNT_MAX = 10**15
"""Beyond what Stripe takes and far below where a row overflows: one absurd record stops nobody else."""

REWRITABLE = (*OPEN, OverageStatus.UNBILLABLE, OverageStatus.FAILED)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a period costs is computed from; `measured` is what the records say, `used` what is charged."""

    used: int
    measured: int
    granted: int
    choice: Choice
    payer: Payer | None
    source: OverageSource = OverageSource.USAGE
    reason: str = ""


def write_overage(
    session: Session, period: UsedPeriod, rows: Sequence[Overage], figures: Figures, *, may_credit: bool, now: datetime
) -> Overage | None:
    """Write the period's row, rewrite its newest one while Stripe has not heard of it, or add an adjustment.

    Shape: returns the written row; None when nothing changed, or a credit is called for that is not allowed here.
    Idempotent by: one key per user, metric, period start and adjustment. Locks: the caller holds quota and rows.
    """
    newest = rows[-1] if rows else None
    target = newest if newest is not None and newest.status in REWRITABLE else None
    others = [row for row in rows if row is not target]
    units = compute_overage_units(used=figures.used, limit=figures.granted)
    if figures.choice.price and compute_charge(figures.choice.price, units).amount_minor > AMOUNT_MAX:
        figures = replace(figures, choice=Choice(None, f"{units} units cost more than can be charged: correct them"))
    price, payer = figures.choice.price, figures.payer
    billable = price is not None and (payer is not None or (newest is not None and newest.customer_id is not None))
    if not billable and others:
        return None
    charge = compute_charge(price, units) if price is not None and billable else Charge(units, 0, "", 0, ())
    values = _values(period, figures, charge, others, is_billable=billable, now=now)
    if newest is not None and _is_told(newest, values):
        return None
    if values["amount_minor"] < 0 and not may_credit:
        return None
    if target is None:
        suffix = f":{len(rows) + 1}" if rows else ""
        start = int(period.period.start.timestamp())
        target = Overage(
            account_id=payer.account_id if payer else "",
            overage_key=f"overage:{period.user_id}:{period.metric_type}:{start}{suffix}",
            quota_period_id=period.id,
            kind=OverageKind.ADJUSTMENT if rows else OverageKind.PERIOD,
            user_id=period.user_id,
            metric_type=period.metric_type,
            period_start=period.period.start,
            period_end=period.period.end,
            attempt=0,
        )
        session.add(target)
    elif target.status is OverageStatus.FAILED:
        # Stripe refused the last item for certain; another try is another intent.
        target.attempt += 1
    for name, value in values.items():
        setattr(target, name, value)
    if payer is not None:
        target.customer_id, target.subscription_id = payer.customer_id, payer.subscription_id
    session.flush()
    return target


def _values(
    period: UsedPeriod, figures: Figures, charge: Charge, others: Sequence[Overage], *, is_billable: bool, now: datetime
) -> dict[str, Any]:
    before = sum(row.amount_minor for row in others)
    amount = charge.amount_minor - before
    packed = pack_price(figures.choice.price) if is_billable and figures.choice.price is not None else None
    if not is_billable:
        status, detail = OverageStatus.UNBILLABLE, figures.choice.why or NO_CUSTOMER
    elif amount == 0:
        status, detail = OverageStatus.WAIVED, "nothing to charge"
    else:
        status, detail = OverageStatus.COMPUTED, ""
    return {
        "status": status,
        "source": figures.source,
        "used_value": figures.used,
        "measured_value": figures.measured,
        "granted_value": figures.granted,
        "units": charge.units - sum(row.units for row in others),
        "amount_minor": amount,
        "currency": charge.currency,
        "price": packed,
        "explanation": _explain(charge, before),
        "inputs_sha256": hash_inputs(
            period.user_id,
            period.metric_type,
            period.period,
            used=figures.used,
            granted=figures.granted,
            price=packed,
        ),
        "next_attempt_at": now if status is OverageStatus.COMPUTED else None,
        "detail": detail,
        "reason": figures.reason,
        "computed_at": now,
    }


def _explain(charge: Charge, before: int) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {
            "what": part.what,
            "units": part.units,
            "unit_amount": f"{part.unit_amount:f}",
            "amount_minor": part.amount_minor,
        }
        for part in charge.parts
    ]
    return (
        [*parts, {"what": "charged before", "units": 0, "unit_amount": "0", "amount_minor": -before}]
        if before
        else parts
    )


def _is_told(newest: Overage, values: dict[str, Any]) -> bool:
    """Say whether the newest row already has the same inputs and came through."""
    if newest.status is OverageStatus.FAILED:
        return False
    if newest.status is OverageStatus.UNBILLABLE and newest.detail != values["detail"]:
        return False
    return (newest.inputs_sha256, newest.measured_value) == (values["inputs_sha256"], values["measured_value"])
