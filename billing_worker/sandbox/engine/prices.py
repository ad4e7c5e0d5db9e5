"""What a quantity costs at a price, and how much of a meter a customer used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from billing_worker.kernel.periods import add_months, billing_period_containing
from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.amounts import check_currency

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}


@dataclass(frozen=True, slots=True)
class Part:
    """What one line of an invoice charges of a quantity. Units: minor, `unit_amount` exactly."""

    amount_minor: int
    quantity: int
    unit_amount: Decimal
    tier: str = ""


def price_amount(price: Document, quantity: int) -> int:
    """Price a quantity: per unit, per block, or by tiers."""
    return sum(part.amount_minor for part in price_parts(price, quantity))


def price_parts(price: Document, quantity: int) -> list[Part]:
    """Split a quantity into what each tier charges, flat fees apart; one part without tiers.

    Units: minor units of the price's currency, each part rounded half up as Stripe rounds decimal unit amounts.
    """
    if price["billing_scheme"] == "tiered":
        return list(_tiered(price, quantity))
    unit = Decimal(price["unit_amount_decimal"] or "0")
    return [Part(_rounded(unit * _blocks(price, quantity)), quantity, unit)]


def as_text(amount: Decimal) -> str:
    """Write a decimal amount without an exponent and without idle zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def period_end(price: Document, anchor: int, start: int) -> int:
    """Find the end of the billing period that begins at or holds `start`, counted from the anchor.

    Order: the anchor's day of the month rules; the 31st is the last day of shorter months.
    """
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    at, from_anchor = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(anchor, UTC)
    if interval in _MONTHS:
        months = _MONTHS[interval] * count
        return int(billing_period_containing(from_anchor, at, months=months).end.timestamp())
    step = int(timedelta(days=_DAYS[interval] * count).total_seconds())
    return anchor + ((start - anchor) // step + 1) * step


def one_period_before(price: Document, end: int) -> int:
    """Find where a whole period that ends at an instant would have begun."""
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    at = datetime.fromtimestamp(end, UTC)
    if interval in _MONTHS:
        return int(add_months(at, -_MONTHS[interval] * count).timestamp())
    return int((at - timedelta(days=_DAYS[interval] * count)).timestamp())


def usage_quantity(session: Session, customer_id: str, price: Document, period: tuple[int, int]) -> int:
    """Sum up what a customer used of a price's meter in a period, end excluded."""
    meter = session.find("billing.meter", price["recurring"]["meter"])
    return 0 if meter is None else int(meter_value(session, meter, customer_id, period))


def meter_value(session: Session, meter: Document, customer_id: str, period: tuple[int, int]) -> Decimal:
    """Aggregate a meter's events of one customer over a period: sum, count or last."""
    owner = f"{meter['id']}/{customer_id}"
    events = [
        event
        for event in session.peek("billing.meter_event", "_meter_customer", owner)
        if period[0] <= event["timestamp"] < period[1] and not event.get("_is_cancelled")
    ]
    values = [Decimal(event["_value"]) for event in events]
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return Decimal(len(values))
    if formula == "last":
        newest = max(range(len(events)), key=lambda index: (events[index]["timestamp"], index), default=None)
        return Decimal(0) if newest is None else values[newest]
    return sum(values, Decimal(0))


def price_from_data(session: Session, data: dict[str, Any], *, param: str) -> Document:
    """Make the price that `price_data` describes inline; it is inactive, as at Stripe."""
    if "unit_amount" not in data and "unit_amount_decimal" not in data:
        raise invalid("Missing required param: unit_amount.", param=f"{param}[unit_amount]", code="parameter_missing")
    session.get("product", data["product"], param=f"{param}[product]")
    price = new_price(session, data) | {"active": False}
    return session.add(price, "price.created")


def new_price(session: Session, given: dict[str, Any]) -> Document:
    """Build a price from its parameters, not yet added."""
    unit_amount = given.get("unit_amount")
    exact = given.get("unit_amount_decimal", None if unit_amount is None else str(unit_amount))
    if unit_amount is None and exact is not None and Decimal(exact) == int(Decimal(exact)):
        unit_amount = int(Decimal(exact))
    recurring = given.get("recurring")
    return {
        "id": new_id("price"),
        "object": "price",
        "active": given.get("active", True),
        "billing_scheme": given.get("billing_scheme", "per_unit"),
        "created": session.now,
        "currency": check_currency(given["currency"]),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": given.get("lookup_key"),
        "metadata": given.get("metadata") or {},
        "nickname": given.get("nickname"),
        "product": given["product"],
        "recurring": None if recurring is None else _recurring(recurring),
        "tax_behavior": given.get("tax_behavior", "unspecified"),
        "tiers_mode": given.get("tiers_mode"),
        "transform_quantity": given.get("transform_quantity"),
        "type": "one_time" if recurring is None else "recurring",
        "unit_amount": unit_amount,
        "unit_amount_decimal": exact,
        "_tiers": given.get("tiers"),
    }


def hidden_price(session: Session, unit_amount: Decimal, currency: str, name: str) -> Document:
    """Make the price, and its product, that stand behind an amount without one: lists do not show them."""
    product = session.add(new_product(session, name) | {"active": False, "_is_hidden": True})
    given = {"currency": currency, "unit_amount_decimal": as_text(unit_amount), "product": product["id"]}
    return session.add(new_price(session, given) | {"active": False, "_is_hidden": True})


def new_product(session: Session, name: str) -> Document:
    """Build a product that has nothing but a name, not yet added."""
    return {
        "id": new_id("product"),
        "object": "product",
        "active": True,
        "attributes": [],
        "created": session.now,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": session.now,
        "url": None,
    }


def plan_of(price: Document) -> Document:
    """Show a recurring price as the plan it used to be; subscription items still carry one."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": dict(price["metadata"]),
        "meter": recurring["meter"],
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": price["transform_quantity"],
        "trial_period_days": recurring["trial_period_days"],
        "usage_type": recurring["usage_type"],
    }


def _recurring(given: dict[str, Any]) -> Document:
    return {
        "interval": given["interval"],
        "interval_count": given.get("interval_count", 1),
        "meter": given.get("meter"),
        "trial_period_days": given.get("trial_period_days"),
        "usage_type": given.get("usage_type", "licensed"),
    }


def _blocks(price: Document, quantity: int) -> int:
    transform = price["transform_quantity"]
    if not transform:
        return quantity
    size: int = transform["divide_by"]
    return -(-quantity // size) if transform["round"] == "up" else quantity // size


def _tiered(price: Document, quantity: int) -> Iterator[Part]:
    below = 0
    for number, tier in enumerate(price["_tiers"] or [], 1):
        bound = None if tier["up_to"] in {"inf", None} else int(tier["up_to"])
        is_last = bound is None or quantity <= bound
        if price["tiers_mode"] == "volume":
            if is_last:
                yield from _tier_parts(tier, quantity, "")
                return
            continue
        covered = quantity if is_last or bound is None else bound
        # The first tier's flat fee is due even for nothing used. Source: Stripe documentation, “Tiered pricing”.
        if covered > below or below == 0:
            yield from _tier_parts(tier, covered - below, f"Tier {number} ")
        if is_last:
            return
        below = covered


def _tier_parts(tier: Document, quantity: int, name: str) -> Iterator[Part]:
    unit = Decimal(str(tier.get("unit_amount_decimal") or tier.get("unit_amount") or 0))
    flat = Decimal(str(tier.get("flat_amount_decimal") or tier.get("flat_amount") or 0))
    yield Part(_rounded(unit * quantity), quantity, unit, name)
    if flat:
        yield Part(_rounded(flat), 1, flat, f"{name}flat fee ")


def _rounded(exact: Decimal) -> int:
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
