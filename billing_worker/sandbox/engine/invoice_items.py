"""Invoice items from their parameters."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import check_metadata
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.discounts import Redeemer, new_discounts
from billing_worker.sandbox.engine.items import one_time_price
from billing_worker.sandbox.engine.lines import invoice_item, pricing_of, product_name
from billing_worker.sandbox.engine.prices import hidden_price, price_amount
from billing_worker.sandbox.engine.taxes import named_rates


def item_from(session: Session, customer_id: str, given: dict[str, Any], *, param: str = "") -> Document:
    """Build an invoice item, not yet added.

    Shape: `param` is how the names of parameters begin in refusals; a bracket that it opens is closed behind them.

    Raises: ApiError without an amount, a price or a currency, or for what does not fit together.
    """
    close = "]" if param.endswith("[") else ""
    charged = _charged(session, given, param, close)
    currency = charged["currency"]
    item_id = new_id("invoiceitem")
    redeemer = Redeemer(customer_id, invoice_item=item_id, currency=currency, subtotal_minor=charged["amount_minor"])
    item = invoice_item(
        session,
        customer=customer_id,
        **charged,
        id=item_id,
        discountable=given.get("discountable", charged["amount_minor"] >= 0),
        discounts=new_discounts(session, given.get("discounts"), redeemer, f"{param}discounts{close}"),
        metadata=check_metadata(given.get("metadata") or {}),
        tax_rates=named_rates(session, given.get("tax_rates"), f"{param}tax_rates{close}"),
    )
    if given.get("description"):
        item["description"] = given["description"]
    if "period" in given:
        item["period"] = _period(given["period"], f"{param}period{close}")
    if given.get("subscription"):
        session.get("subscription", given["subscription"], param=f"{param}subscription{close}")
        details = {"subscription": given["subscription"], "subscription_item": None}
        item["parent"] = {"type": "subscription_details", "subscription_details": details}
    return item


def change_item(session: Session, item: Document, given: dict[str, Any]) -> None:
    """Change an invoice item that is on no finalised invoice."""
    if not given.keys().isdisjoint({"amount", "pricing", "price_data", "quantity", "unit_amount_decimal"}):
        known: dict[str, Any] = {"currency": item["currency"]}
        price_id = (item["pricing"].get("price_details") or {}).get("price")
        if price_id and "_is_hidden" not in session.get("price", price_id):
            known["pricing"] = {"price": price_id}
        elif "quantity" in given and "amount" not in given:
            known["unit_amount_decimal"] = item["pricing"]["unit_amount_decimal"]
        charged = _charged(session, known | given, "", "")
        item |= {name: value for name, value in charged.items() if name not in {"amount_minor", "description"}}
        item["amount"] = charged["amount_minor"]
    if "description" in given:
        item["description"] = given["description"] or None
    if "discountable" in given:
        item["discountable"] = given["discountable"]
    if "period" in given:
        item["period"] = _period(given["period"], "period")
    if "tax_rates" in given:
        item["tax_rates"] = named_rates(session, given["tax_rates"], "tax_rates")
    if "discounts" in given:
        redeemer = Redeemer(
            item["customer"], invoice_item=item["id"], currency=item["currency"], subtotal_minor=item["amount"]
        )
        item["discounts"] = new_discounts(session, given["discounts"], redeemer)
    item["net_amount"] = None if item["discountable"] else item["amount"]


def _charged(session: Session, given: dict[str, Any], param: str, close: str) -> Document:
    price_id = (given.get("pricing") or {}).get("price")
    if "amount" in given and (price_id or "quantity" in given or "unit_amount_decimal" in given):
        raise invalid(
            "You may only specify one of these parameters: amount, quantity with a unit amount or a price.",
            param=f"{param}amount{close}",
        )
    if price_id or "price_data" in given:
        return _priced(session, given, price_id, param, close)
    currency = given.get("currency")
    if currency is None:
        raise invalid("Missing required param: currency.", param=f"{param}currency{close}", code="parameter_missing")
    unit = given.get("unit_amount_decimal", given.get("unit_amount"))
    if "amount" not in given and unit is None:
        raise invalid("Missing required param: amount.", param=f"{param}amount{close}", code="parameter_missing")
    quantity = given.get("quantity", 1)
    exact = Decimal(str(given["amount"] if unit is None else unit))
    amount = int((exact * quantity).quantize(Decimal(1), ROUND_HALF_UP))
    return {
        "amount_minor": amount,
        "currency": currency.lower(),
        "pricing": pricing_of(hidden_price(session, exact, currency, given.get("description") or "Invoice item")),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
    }


def _priced(session: Session, given: dict[str, Any], price_id: str | None, param: str, close: str) -> Document:
    named = {"price": price_id} if price_id else {"price_data": given["price_data"]}
    price = one_time_price(session, named, f"{param}pricing{close}" if price_id else f"{param}price_data{close}")
    wanted = str(given.get("currency", price["currency"])).lower()
    if wanted != price["currency"]:
        raise invalid(
            f"The price specified only supports `{price['currency']}`. This doesn't match the expected currency: "
            f"`{wanted}`.",
            param=f"{param}currency{close}",
        )
    quantity = given.get("quantity", 1)
    return {
        "amount_minor": price_amount(price, quantity),
        "currency": price["currency"],
        "description": product_name(session, price),
        "pricing": pricing_of(price),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
    }


def _period(given: dict[str, Any], param: str) -> Document:
    if given["end"] < given["start"]:
        raise invalid("The period's end must not be before its start.", param=f"{param}[end]")
    return {"start": given["start"], "end": given["end"]}
