"""Correct an overage with an operator's figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.overage.errors import NoOverageError, OverageRefusedError
from billing_worker.domains.overage.models import Overage
from billing_worker.domains.overage.pricing import Choice, operator_price
from billing_worker.domains.overage.queries.overages import list_overages, lock_rows
from billing_worker.domains.overage.queries.payers import list_payers
from billing_worker.domains.overage.queries.periods import list_periods
from billing_worker.domains.overage.services.write_overage import REWRITABLE, Figures, write_overage
from billing_worker.domains.overage.states import OverageSource, OverageStatus
from billing_worker.domains.quotas.queries.periods import lock_quotas


@dataclass(frozen=True, slots=True)
class Correction:
    """What an operator says. Units: `rate` in major units for each unit, 0.10 is ten cents."""

    used: int
    granted: int
    rate: str
    reason: str = ""


def update_overage(
    session: Session,
    user_id: str,
    correction: Correction,
    *,
    metric_type: str | None,
    within: datetime | None,
    now: datetime,
) -> Overage | None:
    """Rewrite a period's overage while Stripe has not heard of it; adjust it, for a reason, when it was billed.

    Shape: the newest period, or the one that contains `within`; None when it is so already.
    Locks: the period's quota, then its rows. Raises: NoOverageError, OverageRefusedError, InvalidOveragePriceError.
    """
    found = _find(list_overages(session, user_id, metric_type=metric_type), user_id, within)
    [period] = list_periods(session, [found.quota_period_id])
    lock_quotas(session, [period.quota_id])
    rows = lock_rows(session, [period.id])[period.id]
    newest = rows[-1]
    if any(row.status is OverageStatus.BILLING for row in rows):
        raise OverageRefusedError(f"{newest.overage_key} is being billed right now: repeat this in a minute")
    if newest.status not in REWRITABLE and not correction.reason:
        raise OverageRefusedError(
            f"{newest.overage_key} is {newest.status}; a correction becomes an adjustment: add --reason, "
            'for example --reason "counted twice"'
        )
    payer = list_payers(session, [user_id]).get(user_id)
    currency = newest.currency or (payer.currency if payer else None)
    if currency is None:
        raise OverageRefusedError(f"user {user_id} has no currency yet: nothing was bought and nothing can be billed")
    figures = Figures(
        used=correction.used,
        measured=newest.measured_value,
        granted=correction.granted,
        choice=Choice(operator_price(correction.rate, currency)),
        payer=payer,
        source=OverageSource.OPERATOR,
        reason=correction.reason,
    )
    return write_overage(session, period, rows, figures, may_credit=True, now=now)


def _find(rows: Sequence[Overage], user_id: str, within: datetime | None) -> Overage:
    fitting = [row for row in rows if within is None or row.period_start <= within < row.period_end]
    if not fitting:
        raise NoOverageError(
            f"user {user_id} has no such overage: it is computed after its period has closed; "
            f"`nself billing quota show-overage --user {user_id}` lists what there is"
        )
    metrics = sorted({row.metric_type for row in fitting})
    if len(metrics) > 1:
        raise OverageRefusedError(f"user {user_id} has overage of {', '.join(metrics)}: name one with --metric")
    return fitting[0]
