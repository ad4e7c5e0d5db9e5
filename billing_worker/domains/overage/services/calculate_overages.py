"""Calculate what given figures would cost a user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.overage.pricing import Choice, PriceBook, operator_price
from billing_worker.domains.overage.queries.payers import list_payers
from billing_worker.domains.overage.queries.periods import list_open_periods
from billing_worker.domains.overage.rules import Charge, compute_charge, compute_overage_units

ANY_CURRENCY = "usd"
"""Of a rate, for a user who has bought nothing yet."""

NO_PRICE = "there is no overage price: `nself billing price create --type overage --metric api_calls …` makes one"


@dataclass(frozen=True, slots=True)
class Calculation:
    """What use beyond a limit costs; without a price `charge` is None and `why` says what is missing."""

    metric_type: str
    units: int
    source: str
    charge: Charge | None
    why: str


def calculate_overages(
    session: Session,
    user_id: str,
    book: PriceBook,
    *,
    used: int,
    limit: int,
    metric_type: str | None,
    rate: str | None,
    now: datetime,
) -> Sequence[Calculation]:
    """Price figures for a metric, or for each metric that the user has a quota of; nothing is stored.

    Units: `rate` in major units for each unit, instead of the price.
    Raises: InvalidOveragePriceError.
    """
    payer = list_payers(session, [user_id]).get(user_id)
    of_quotas = [one.metric_type for one in list_open_periods(session, user_id)]
    metrics = [metric_type] if metric_type else of_quotas or book.metrics()
    units = compute_overage_units(used=used, limit=limit)
    if not metrics and rate is None:
        return [Calculation("", units, "", None, NO_PRICE)]
    calculations = []
    for metric in metrics or [""]:
        if rate is None:
            choice = book.choose(metric, payer, since=now)
        else:
            choice = Choice(operator_price(rate, (payer.currency if payer else None) or ANY_CURRENCY))
        charge = compute_charge(choice.price, units) if choice.price else None
        source = choice.price.source if choice.price else ""
        calculations.append(Calculation(metric, units, source, charge, choice.why))
    return calculations
