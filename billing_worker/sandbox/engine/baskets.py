"""Prices with quantities, as payment links, checkout sessions and quotes hold them before anything is billed."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.prices import new_price, price_amount


def basket(session: Session, given: list[dict[str, Any]] | None) -> list[Document]:
    """Turn `line_items` parameters into items with their amounts.

    Raises: ApiError for no items, a missing price, or prices in several currencies.
    """
    if not given:
        raise invalid("Missing required param: line_items.", param="line_items", code="parameter_missing")
    items = [_item(session, entry) for entry in given]
    if len({item["currency"] for item in items}) > 1:
        raise invalid("All prices must use the same currency.", param="line_items")
    return items


def subtotal(items: list[Document]) -> int:
    """Add up a basket."""
    return sum(item["amount_total"] for item in items)


def recurring_items(items: list[Document]) -> list[Document]:
    """Give what a subscription is to be made of."""
    return [
        {"price": item["price"]["id"], "quantity": item["quantity"]}
        for item in items
        if item["price"]["recurring"] is not None
    ]


def _item(session: Session, given: dict[str, Any]) -> Document:
    if "price" in given:
        price = session.get("price", given["price"], param="line_items[0][price]")
    elif "price_data" in given:
        price = _described(session, given["price_data"])
    else:
        raise invalid("Missing required param: line_items[0][price].", param="line_items[0][price]")
    quantity = given.get("quantity", 1)
    amount = price_amount(price, quantity)
    name = (session.find("product", price["product"]) or {}).get("name", "")
    return {
        "id": new_id("item"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": name,
        "metadata": {},
        "price": public(price),
        "quantity": quantity,
    }


def _described(session: Session, data: dict[str, Any]) -> Document:
    given = dict(data)
    if "product" not in given:
        name = (given.pop("product_data", None) or {}).get("name", "")
        product: Document = {
            "id": new_id("product"),
            "object": "product",
            "active": False,
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
    session.get("product", given["product"], param="line_items[0][price_data][product]")
    return session.add(new_price(session, given) | {"active": False}, "price.created")
