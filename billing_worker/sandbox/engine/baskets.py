"""Prices with quantities, as payment links, checkout sessions and quotes hold them before anything is billed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.items import check_active
from billing_worker.sandbox.engine.lines import pricing_of
from billing_worker.sandbox.engine.prices import new_price, price_amount
from billing_worker.sandbox.engine.reductions import put_discounts
from billing_worker.sandbox.engine.taxes import amount_with, named_rates, put_taxes


def basket(session: Session, given: list[dict[str, Any]] | None) -> list[Document]:
    """Turn `line_items` parameters into items with their amounts.

    Raises: ApiError for no items, a missing price, or prices in several currencies.
    """
    if not given:
        raise invalid("Missing required param: line_items.", param="line_items", code="parameter_missing")
    items = [_item(session, entry, f"line_items[{index}]") for index, entry in enumerate(given)]
    if len({item["currency"] for item in items}) > 1:
        raise invalid("All prices must use the same currency.", param="line_items")
    return items


def add_up(
    items: list[Document], coupons: Mapping[str, Document], default_rates: list[Document], *, exempt: str = "none"
) -> Document:
    """Take discounts off a basket, put taxes on it, and give its totals.

    Shape: `coupons` by the ids that stand for them; each item is brought up to date.
    """
    lines = [
        {
            "id": item["id"],
            "amount": item["amount_subtotal"],
            "currency": item["currency"],
            "discountable": True,
            "discounts": [],
            "pricing": pricing_of(item["price"]),
        }
        for item in items
    ]
    discounts = put_discounts(coupons.__getitem__, list(coupons), lines)
    taxes = put_taxes({item["id"]: item["_tax_rates"] for item in items}, default_rates, lines, exempt=exempt)
    for item, line in zip(items, lines, strict=True):
        off = sum(taken["amount"] for taken in line["discount_amounts"])
        item |= {
            "amount_discount": off,
            "amount_tax": sum(tax["amount"] for tax in line["taxes"]),
            "amount_total": item["amount_subtotal"] - off + amount_with(line["taxes"], "exclusive"),
        }
    return {
        "amount_subtotal": sum(item["amount_subtotal"] for item in items),
        "amount_total": sum(item["amount_total"] for item in items),
        "total_details": {
            "amount_discount": sum(entry["amount"] for entry in discounts),
            "amount_shipping": 0,
            "amount_tax": sum(tax["amount"] for tax in taxes),
        },
    }


def recurring_items(items: list[Document]) -> list[Document]:
    """Give what a subscription is to be made of."""
    return [_params(item) for item in items if item["price"]["recurring"] is not None]


def one_time_items(items: list[Document]) -> list[Document]:
    """Give what its first invoice charges once."""
    return [_params(item) for item in items if item["price"]["recurring"] is None]


def _params(item: Document) -> Document:
    quantity = {} if item["quantity"] is None else {"quantity": item["quantity"]}
    return quantity | {"price": item["price"]["id"], "tax_rates": [rate["id"] for rate in item["_tax_rates"]]}


def _item(session: Session, given: dict[str, Any], param: str) -> Document:
    if "price" in given:
        price = session.get("price", given["price"], param=f"{param}[price]")
        check_active(session, price, f"{param}[price]")
    elif "price_data" in given:
        price = _described(session, given["price_data"], f"{param}[price_data]")
    else:
        raise invalid(f"Missing required param: {param}[price].", param=f"{param}[price]", code="parameter_missing")
    quantity = _quantity(given, price, param)
    amount = 0 if quantity is None else price_amount(price, quantity)
    name = (session.find("product", price["product"]) or {}).get("name", "")
    return {
        "id": new_id("item"),
        "object": "item",
        "adjustable_quantity": given.get("adjustable_quantity"),
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": name,
        "metadata": given.get("metadata") or {},
        "price": public(price),
        "quantity": quantity,
        "_tax_rates": named_rates(session, given.get("tax_rates"), f"{param}[tax_rates]"),
    }


def _quantity(given: dict[str, Any], price: Document, param: str) -> int | None:
    if (price["recurring"] or {}).get("usage_type") == "metered":
        if "quantity" in given:
            raise invalid("Quantity should not be specified for metered prices.", param=f"{param}[quantity]")
        return None
    quantity: int = given.get("quantity", 1)
    if quantity < 1:
        raise invalid("This value must be greater than or equal to 1.", param=f"{param}[quantity]")
    return quantity


def _described(session: Session, data: dict[str, Any], param: str) -> Document:
    given = dict(data)
    if "product" not in given:
        name = (given.pop("product_data", None) or {}).get("name", "")
        product: Document = {
            "id": new_id("product"),
            "object": "product",
            "active": True,
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
        given["product"] = session.add(product, "product.created")["id"]
    session.get("product", given["product"], param=f"{param}[product]")
    return session.add(new_price(session, given) | {"active": True}, "price.created")
