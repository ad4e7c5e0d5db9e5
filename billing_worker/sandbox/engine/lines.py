"""Invoice lines and invoice items: one shape for what is charged and why."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billing_worker.kernel.money import decimals_of
from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.discounts import still_applying
from billing_worker.sandbox.engine.prices import as_text, price_parts, usage_quantity
from billing_worker.sandbox.engine.subscription_terms import is_flexible

_SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "cad": "CA$", "aud": "A$"}


def pricing_of(price: Document) -> Document:
    """Describe a price the way lines and invoice items do."""
    return {
        "type": "price_details",
        "price_details": {"price": price["id"], "product": price["product"]},
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def line(*, amount_minor: int, currency: str, description: str, period: tuple[int, int], **given: Any) -> Document:  # noqa: ANN401 - JSON values
    """Make one line of an invoice."""
    return {
        "id": new_id("line_item"),
        "object": "line_item",
        "amount": amount_minor,
        "currency": currency,
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": None,
        "subtotal": amount_minor,
        "taxes": [],
    } | given


def item_lines(session: Session, subscription: Document, item: Document, period: tuple[int, int]) -> list[Document]:
    """Charge one subscription item for a period: ahead for seats, in arrears for usage; a line for each tier."""
    price = session.get("price", item["price"]["id"])
    is_metered = price["recurring"]["usage_type"] == "metered"
    quantity = usage_quantity(session, subscription["customer"], price, period) if is_metered else item["quantity"]
    product = product_of(session, price)
    discounts = still_applying(session, item["discounts"])
    return [
        line(
            amount_minor=part.amount_minor,
            currency=price["currency"],
            description=f"{counted_name(part.quantity, product)} ({part.tier}at {_rate(price, part.unit_amount)})",
            discounts=discounts,
            period=period,
            parent=_parent(subscription["id"], item["id"]),
            pricing=pricing_of(price) | {"unit_amount_decimal": as_text(part.unit_amount)},
            quantity=part.quantity,
            quantity_decimal=str(part.quantity),
            subscription=subscription["id"],
            metadata=dict(item["metadata"]),
            tax_rates=item["tax_rates"],
        )
        for part in price_parts(price, quantity)
    ]


def trial_line(session: Session, subscription: Document, item: Document, period: tuple[int, int]) -> Document:
    """Show a trial period as a line that costs nothing."""
    price = item["price"]
    return line(
        amount_minor=0,
        currency=price["currency"],
        description=_trial_words(session, subscription, item),
        period=period,
        parent=_parent(subscription["id"], item["id"]),
        pricing=pricing_of(price) | {"unit_amount_decimal": "0"},
        quantity=item.get("quantity", 1),
        subscription=subscription["id"],
    )


def _trial_words(session: Session, subscription: Document, item: Document) -> str:
    # Source: Stripe documentation, “Compare classic and flexible billing mode”, trials.
    product = product_of(session, item["price"])
    if is_flexible(subscription):
        return f"Free trial for {counted_name(item.get('quantity', 1), product)}"
    return f"Trial period for {product['name']}"


def counted_name(quantity: int, product: Document) -> str:
    """Name so and so many of a product, in its own unit where it has one."""
    unit = f" {product['unit_label']}" if product.get("unit_label") else ""
    return f"{quantity}{unit} × {product['name']}"  # noqa: RUF001 - as at Stripe


def product_of(session: Session, price: Document) -> Document:
    """Give what a price is for; only its id is known of a product that is gone."""
    return session.find("product", price["product"]) or {"name": price["product"]}


def product_name(session: Session, price: Document) -> str:
    """Name what a price is for."""
    return str(product_of(session, price)["name"])


def spoken_amount(amount_minor: Decimal, currency: str) -> str:
    """Write an amount as invoices do: in the major unit, with the currency's sign where it has one."""
    digits = decimals_of(currency)
    major = amount_minor.scaleb(-digits)
    shown = f"{major:.{digits}f}" if major == round(major, digits) else as_text(major)
    sign = _SIGNS.get(currency)
    return f"{sign}{shown}" if sign else f"{shown} {currency.upper()}"


def _rate(price: Document, unit_amount: Decimal) -> str:
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    every = interval if count == 1 else f"every {count} {interval}s"
    return f"{spoken_amount(unit_amount, price['currency'])} / {every}"


def line_from_item(item: Document) -> Document:
    """Turn an invoice item into a line of its invoice."""
    details = (item["parent"] or {}).get("subscription_details") or {}
    return line(
        amount_minor=item["amount"],
        currency=item["currency"],
        description=item["description"],
        period=(item["period"]["start"], item["period"]["end"]),
        parent=_item_parent(item, details),
        # What a proration costs is no multiple of its unit.
        pricing=item["pricing"] | {"unit_amount_decimal": None} if item["proration"] else item["pricing"],
        quantity=item["quantity"],
        quantity_decimal=item["quantity_decimal"],
        subscription=details.get("subscription"),
        metadata=dict(item["metadata"]),
        discountable=item["discountable"],
        discounts=list(item["discounts"]),
        tax_rates=item["tax_rates"],
    )


def _item_parent(item: Document, details: Document) -> Document:
    shown = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": {"credited_items": item.get("_credited")},
        "subscription": details.get("subscription"),
    }
    of_item = details.get("subscription_item")
    if of_item is None:
        return {
            "type": "invoice_item_details",
            "invoice_item_details": shown,
            "subscription_item_details": None,
        }
    return {
        "type": "subscription_item_details",
        "invoice_item_details": None,
        "subscription_item_details": shown | {"subscription_item": of_item},
    }


def item_id_of(entry: Document) -> str | None:
    """Tell which invoice item a line is of."""
    parent = entry["parent"] or {}
    details = parent.get("invoice_item_details") or parent.get("subscription_item_details") or {}
    found: str | None = details.get("invoice_item")
    return found


def invoice_item(session: Session, *, customer: str, amount_minor: int, currency: str, **given: Any) -> Document:  # noqa: ANN401 - JSON values
    """Make an invoice item, not yet added."""
    return {
        "id": new_id("invoiceitem"),
        "object": "invoiceitem",
        "amount": amount_minor,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "date": session.now,
        "description": None,
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "net_amount": None if given.get("discountable", True) else amount_minor,
        "parent": None,
        "period": {"start": session.now, "end": session.now},
        "pricing": None,
        "proration": False,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": None,
    } | given


def _parent(subscription_id: str, item_id: str) -> Document:
    return {
        "type": "subscription_item_details",
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": subscription_id,
            "subscription_item": item_id,
        },
    }
