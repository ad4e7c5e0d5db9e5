"""Ask what past overage would have cost at other prices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from billing_worker.domains.overage.queries.overages import list_totals
from billing_worker.domains.overage.rules import OveragePrice, compute_charge


@dataclass(frozen=True, slots=True)
class Repriced:
    """What one user's past overage in one currency was charged, and what it would have been.

    Units: minor.
    """

    user_id: str
    currency: str
    periods: int
    units: int
    charged_minor: int
    would_be_minor: int


def reprice_overages(
    session: Session, metric_type: str, price_in: Callable[[str], OveragePrice | None], *, user_id: str | None
) -> list[Repriced]:
    """Price every past period's units anew, user by user; currencies without a new price are left out.

    Shape: `price_in` gives the new price in a currency; overage that was never priced has none and is asked for as "".
    """
    found: dict[tuple[str, str], Repriced] = {}
    for total in list_totals(session, metric_type, user_id=user_id):
        price = price_in(total.currency)
        if price is None:
            continue
        key = (total.user_id, price.currency)
        so_far = found.get(key, Repriced(*key, 0, 0, 0, 0))
        found[key] = Repriced(
            *key,
            so_far.periods + 1,
            so_far.units + total.units,
            so_far.charged_minor + total.amount_minor,
            so_far.would_be_minor + compute_charge(price, max(total.units, 0)).amount_minor,
        )
    return sorted(found.values(), key=lambda one: (one.charged_minor - one.would_be_minor, one.user_id))
