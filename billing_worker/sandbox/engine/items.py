"""What a subscription is made of: its items, and the extra charges of a single invoice."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import check_metadata
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.discounts import Redeemer, new_discounts
from billing_worker.sandbox.engine.lines import invoice_item, pricing_of, product_name
from billing_worker.sandbox.engine.prices import plan_of, price_amount, price_from_data
from billing_worker.sandbox.engine.taxes import named_rates

_MAX_ITEMS = 20
"""Source: Stripe API reference, subscription items: up to 20."""


def new_item(
    session: Session, subscription: Document, given: dict[str, Any], period: tuple[int, int], param: str
) -> Document:
    """Build a subscription item from its parameters."""
    price = find_price(session, given, param)
    item: Document = {
        "id": new_id("subscription_item"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": session.now,
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": check_metadata(given.get("metadata")),
        "plan": plan_of(price),
        "price": public(price),
        "subscription": subscription["id"],
        "tax_rates": [],
    }
    set_quantity(item, given, param, default=1)
    set_extras(session, subscription, item, given, param)
    return item


def show_items(subscription: Document) -> None:
    """Count a subscription's items; of a single one, its plan and quantity are shown at the top too.

    Source: every recorded answer has both keys, though no reference names them; null where there are several items.
    """
    items = subscription["items"]["data"]
    only: Document = items[0] if len(items) == 1 else {}
    subscription["items"]["total_count"] = len(items)
    subscription |= {"plan": only.get("plan"), "quantity": only.get("quantity")}


def set_quantity(item: Document, given: dict[str, Any], param: str, *, default: int | None = None) -> None:
    """Set how many units an item charges; what is metered has no quantity of its own."""
    if item["price"]["recurring"]["usage_type"] == "metered":
        item.pop("quantity", None)
        if "quantity" in given:
            raise invalid(
                "You cannot set the quantity of a metered plan: it is determined by the usage of its meter.",
                param=f"{param}[quantity]",
            )
        return
    quantity = given.get("quantity", item.get("quantity", default))
    if quantity is not None and quantity < 0:
        raise invalid("Invalid non-negative integer", param=f"{param}[quantity]", code="parameter_invalid_integer")
    item["quantity"] = 1 if quantity is None else quantity


def set_extras(session: Session, subscription: Document, item: Document, given: dict[str, Any], param: str) -> None:
    """Set an item's own tax rates and discounts."""
    if given.get("billing_thresholds"):
        raise invalid(
            "The sandbox does not simulate billing_thresholds.",
            param=f"{param}[billing_thresholds]",
            code="sandbox_not_simulated",
        )
    if "tax_rates" in given:
        item["tax_rates"] = named_rates(session, given["tax_rates"], f"{param}[tax_rates]")
    if "discounts" in given:
        redeemer = Redeemer(
            subscription["customer"],
            subscription=subscription["id"],
            subscription_item=item["id"],
            currency=item["price"]["currency"],
            subtotal_minor=item_amount(session, item),
        )
        item["discounts"] = new_discounts(session, given["discounts"], redeemer, f"{param}[discounts]")


def item_amount(session: Session, item: Document) -> int:
    """Tell what an item costs in a period before discounts; what is metered is not known ahead."""
    if "quantity" not in item:
        return 0
    return price_amount(session.get("price", item["price"]["id"]), item["quantity"])


def find_price(session: Session, given: dict[str, Any], param: str) -> Document:
    """Return the recurring, active price that an item names.

    Raises: ApiError when it is missing, inactive or charged once.
    """
    if "price_data" in given:
        price = price_from_data(session, given["price_data"], param=f"{param}[price_data]")
    elif price_id := given.get("price") or given.get("plan"):
        price = session.get("price", price_id, param=f"{param}[price]")
        check_active(session, price, f"{param}[price]")
    else:
        raise invalid(f"Missing required param: {param}[price].", param=f"{param}[price]", code="parameter_missing")
    if price["recurring"] is None:
        raise invalid(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
            param=f"{param}[price]",
        )
    return price


def check_active(session: Session, price: Document, param: str) -> None:
    """Refuse prices that are archived, and those of an archived product.

    Raises: ApiError 400.
    """
    if not price["active"]:
        raise invalid("The price specified is inactive. This field only accepts active prices.", param=param)
    product = session.store.find("product", price["product"])
    if product is not None and not product["active"]:
        raise invalid(
            f"The price specified belongs to the inactive product {product['id']}: only active products can be sold.",
            param=param,
        )


def check_items(items: list[Document]) -> None:
    """Refuse items that cannot share a subscription."""
    prices = [item["price"] for item in items]
    if len(items) > _MAX_ITEMS:
        raise invalid(f"A subscription can have at most {_MAX_ITEMS} items.", param="items")
    if len({price["currency"] for price in prices}) > 1:
        raise invalid("All prices on a subscription must use the same currency.", param="items")
    if len({(price["recurring"]["interval"], price["recurring"]["interval_count"]) for price in prices}) > 1:
        raise invalid(
            "Currently, all prices on a subscription must have the same `recurring.interval` and "
            "`recurring.interval_count`. If you meant to update an existing subscription item instead of creating a "
            "new one, make sure to include the subscription item ID in your request.",
            param="items",
        )
    for index, price in enumerate(prices):
        if price["id"] in {other["id"] for other in prices[:index]}:
            raise invalid(
                f"Cannot add multiple subscription items with the same plan: {price['id']}",
                param=f"items[{index}][price]",
            )


def add_extra_items(session: Session, subscription: Document, given: list[dict[str, Any]] | None) -> list[Document]:
    """Turn `add_invoice_items` into invoice items that wait for the subscription's next invoice."""
    return [
        _extra_item(session, subscription, entry, f"add_invoice_items[{index}]")
        for index, entry in enumerate(given or [])
    ]


def _extra_item(session: Session, subscription: Document, given: dict[str, Any], param: str) -> Document:
    price = one_time_price(session, given, param)
    if price["currency"] != subscription["currency"]:
        raise invalid(
            f"The price specified only supports `{price['currency']}`. This doesn't match the expected currency: "
            f"`{subscription['currency']}`.",
            param=f"{param}[price]",
        )
    quantity = given.get("quantity", 1)
    amount = price_amount(price, quantity)
    redeemer = Redeemer(subscription["customer"], currency=price["currency"], subtotal_minor=amount)
    item = invoice_item(
        session,
        customer=subscription["customer"],
        amount_minor=amount,
        currency=price["currency"],
        description=product_name(session, price),
        discountable=given.get("discountable", True),
        discounts=new_discounts(session, given.get("discounts"), redeemer, f"{param}[discounts]"),
        metadata=check_metadata(given.get("metadata")),
        parent={
            "type": "subscription_details",
            "subscription_details": {"subscription": subscription["id"], "subscription_item": None},
        },
        pricing=pricing_of(price),
        quantity=quantity,
        quantity_decimal=str(quantity),
        tax_rates=named_rates(session, given.get("tax_rates"), f"{param}[tax_rates]"),
    )
    return session.add(item, "invoiceitem.created")


def one_time_price(session: Session, given: dict[str, Any], param: str) -> Document:
    """Return the one-time, active price that an invoice item names.

    Raises: ApiError when it is missing, inactive or recurring.
    """
    if "price_data" in given:
        return price_from_data(session, given["price_data"], param=f"{param}[price_data]")
    if "price" not in given:
        raise invalid(f"Missing required param: {param}[price].", param=f"{param}[price]", code="parameter_missing")
    price = session.get("price", given["price"], param=f"{param}[price]")
    check_active(session, price, f"{param}[price]")
    if price["recurring"] is not None:
        raise invalid(
            "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`.",
            param=f"{param}[price]",
        )
    return price
