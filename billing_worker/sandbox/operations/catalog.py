"""Products, prices and coupons."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign, check_metadata, listing, merge_metadata, retrieve
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.routes import PAGE, Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.amounts import check_currency
from billing_worker.sandbox.engine.prices import new_price, new_product

_PRODUCT_FIELDS = "active description name statement_descriptor tax_code unit_label url"
_INTERVALS = frozenset({"day", "week", "month", "year"})
_MAX_PERCENT = 100
_DURATIONS = ("forever", "once", "repeating")


def create_product(call: Call) -> Document:
    """Create a product, with its default price when asked."""
    session, params = call.session, call.params
    if "id" in params and session.find("product", params["id"]) is not None:
        raise invalid("Product already exists.", param="id", code="resource_already_exists")
    product = new_product(session, params["name"]) | {
        "id": params.get("id") or new_id("product"),
        "images": params.get("images") or [],
        "marketing_features": params.get("marketing_features") or [],
        "metadata": check_metadata(params.get("metadata")),
    }
    assign(product, params, _PRODUCT_FIELDS)
    session.add(product, "product.created")
    if "default_price_data" in params:
        price = session.add(
            new_price(session, params["default_price_data"] | {"product": product["id"]}), "price.created"
        )
        product["default_price"] = price["id"]
        session.tell_changes(product)
    return product


def update_product(call: Call) -> Document:
    """Update a product."""
    product = call.session.get("product", call.id)
    before = dict(product)
    assign(product, call.params, f"{_PRODUCT_FIELDS} images")
    if "marketing_features" in call.params:
        product["marketing_features"] = call.params["marketing_features"] or []
    if "default_price" in call.params:
        price = call.session.get("price", call.params["default_price"], param="default_price")
        product["default_price"] = price["id"]
    merge_metadata(product, call.params)
    if product != before:
        product["updated"] = call.session.now
        call.session.tell_changes(product)
    return product


def delete_product(call: Call) -> Document:
    """Delete a product that has no prices."""
    product = call.session.get("product", call.id)
    if call.session.peek("price", "product", call.id):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.")
    call.session.tell("product.deleted", product)
    call.session.remove(product)
    return {"id": call.id, "object": "product", "deleted": True}


def create_price(call: Call) -> Document:
    """Create a price."""
    session, params = call.session, dict(call.params)
    if ("product" in params) == ("product_data" in params):
        raise invalid("You must provide exactly one of product and product_data.", param="product")
    if "product_data" in params:
        nested = {"name": params["product_data"]["name"], "metadata": params["product_data"].get("metadata")}
        product = create_product(Call(session, (), nested, call.account_id))
        params["product"] = product["id"]
    session.get("product", params["product"], param="product")
    if params.get("billing_scheme") != "tiered" and "unit_amount" not in params and "unit_amount_decimal" not in params:
        raise invalid("Missing required param: unit_amount.", param="unit_amount", code="parameter_missing")
    _check_recurring(call)
    _check_amounts(params)
    if (key := params.get("lookup_key")) and any(
        price["lookup_key"] == key for price in session.store.newest_first("price")
    ):
        raise invalid(f"A price (`lookup_key: {key}`) already uses that lookup key.", param="lookup_key")
    return session.add(new_price(session, params), "price.created")


def update_price(call: Call) -> Document:
    """Update what may change of a price: never its amount."""
    price = call.session.get("price", call.id)
    product = call.session.find("product", price["product"])
    if call.params.get("active") is False and product is not None and product["default_price"] == price["id"]:
        raise invalid("This price cannot be archived because it is the default price of its product.", param="active")
    assign(price, call.params, "active nickname lookup_key tax_behavior")
    merge_metadata(price, call.params)
    call.session.tell_changes(price)
    return price


def create_coupon(call: Call) -> Document:
    """Create a coupon."""
    session, params = call.session, call.params
    percent, amount = params.get("percent_off"), params.get("amount_off")
    if (percent is None) == (amount is None):
        raise invalid("You must pass exactly one of percent_off and amount_off.", param="percent_off")
    if percent is not None and not 0 < percent <= _MAX_PERCENT:
        raise invalid("Invalid percent_off: must be greater than 0 and at most 100.", param="percent_off")
    if amount is not None and "currency" not in params:
        raise invalid("You must pass currency when passing amount_off", param="currency", code="parameter_missing")
    _check_duration(params)
    if amount is not None and amount < 1:
        raise invalid("Invalid positive integer", param="amount_off", code="parameter_invalid_integer")
    if "id" in params and session.find("coupon", params["id"]) is not None:
        raise invalid("Coupon already exists.", param="id", code="resource_already_exists")
    return session.add(
        {
            "id": params.get("id") or new_id("coupon"),
            "object": "coupon",
            "amount_off": amount,
            "created": session.now,
            "currency": check_currency(params["currency"]) if amount is not None else None,
            "duration": params.get("duration", "once"),
            "duration_in_months": params.get("duration_in_months"),
            "livemode": False,
            "max_redemptions": params.get("max_redemptions"),
            "metadata": check_metadata(params.get("metadata")),
            "name": params.get("name"),
            "percent_off": percent,
            "redeem_by": params.get("redeem_by"),
            "times_redeemed": 0,
            "valid": True,
            "_currency_options": params.get("currency_options") or {},
            "_products": _products(call),
        },
        "coupon.created",
    )


def _check_duration(params: Document) -> None:
    duration = params.get("duration", "once")
    if duration not in _DURATIONS:
        raise invalid(f"Invalid duration: must be one of {', '.join(_DURATIONS)}", param="duration")
    if (duration == "repeating") != bool(params.get("duration_in_months")):
        raise invalid(
            "You must pass `duration_in_months` when, and only when, `duration` is `repeating`.",
            param="duration_in_months",
        )


def _products(call: Call) -> list[str]:
    products: list[str] = (call.params.get("applies_to") or {}).get("products") or []
    for index, product in enumerate(products):
        call.session.get("product", product, param=f"applies_to[products][{index}]")
    return products


def applies_to_of(session: Session, coupon: Document) -> Document | None:
    """Give a coupon's `applies_to`, which is left out unless expanded."""
    products = session.get("coupon", coupon["id"])["_products"]
    return {"products": list(products)} if products else None


def coupon_options_of(session: Session, coupon: Document) -> Document:
    """Give a coupon's `currency_options`, which are left out unless expanded."""
    held = session.get("coupon", coupon["id"])
    own = {held["currency"]: {"amount_off": held["amount_off"]}} if held["currency"] else {}
    options: Document = held["_currency_options"]
    return own | options


def tiers_of(session: Session, price: Document) -> list[Document] | None:
    """Give a price's `tiers`, which are left out unless expanded."""
    tiers = session.get("price", price["id"])["_tiers"]
    return None if tiers is None else [_shown_tier(tier) for tier in tiers]


def _shown_tier(tier: Document) -> Document:
    shown: Document = {"up_to": None if tier["up_to"] == "inf" else int(tier["up_to"])}
    for name in ("flat_amount", "unit_amount"):
        exact = tier.get(f"{name}_decimal", tier.get(name))
        is_whole = exact is not None and Decimal(str(exact)) == int(Decimal(str(exact)))
        shown[name] = int(Decimal(str(exact))) if is_whole else None
        shown[f"{name}_decimal"] = None if exact is None else str(exact)
    return shown


def delete_coupon(call: Call) -> Document:
    """Delete a coupon; discounts already given stay."""
    coupon = call.session.get("coupon", call.id)
    call.session.tell("coupon.deleted", coupon)
    call.session.remove(coupon)
    return {"id": call.id, "object": "coupon", "deleted": True}


def _check_amounts(params: Document) -> None:
    if params.get("unit_amount", 0) < 0:
        raise invalid("Invalid non-negative integer", param="unit_amount", code="parameter_invalid_integer")
    if params.get("billing_scheme") != "tiered":
        if "tiers" in params or "tiers_mode" in params:
            raise invalid("You can only pass `tiers` if `billing_scheme` is `tiered`.", param="tiers")
        return
    for name in ("tiers", "tiers_mode"):
        if not params.get(name):
            raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")
    bounds = [tier["up_to"] for tier in params["tiers"]]
    if bounds[-1] != "inf" or "inf" in bounds[:-1]:
        raise invalid("The last tier, and only the last, must have `up_to` set to `inf`.", param="tiers")
    if any(int(low) >= int(high) for low, high in pairwise(bounds[:-1])):
        raise invalid("The tiers must be in ascending order of `up_to`.", param="tiers")


def _check_recurring(call: Call) -> None:
    recurring = call.params.get("recurring")
    if not recurring:
        return
    if recurring["interval"] not in _INTERVALS:
        raise invalid(
            "Invalid recurring[interval]: must be one of day, month, week, or year", param="recurring[interval]"
        )
    if recurring.get("usage_type") == "metered":
        if "meter" not in recurring:
            raise invalid(
                "All metered prices must be backed by meters: pass recurring[meter].", param="recurring[meter]"
            )
        call.session.get("billing.meter", recurring["meter"], param="recurring[meter]")


def _price_matches(price: Document, params: Document) -> bool:
    keys = params.get("lookup_keys")
    recurring = params.get("recurring") or {}
    return (not keys or price["lookup_key"] in keys) and all(
        (price["recurring"] or {}).get(name) == value for name, value in recurring.items()
    )


def _product_matches(product: Document, params: Document) -> bool:
    return "ids" not in params or product["id"] in params["ids"]


_PRICE_TAKES = (
    "product product_data currency unit_amount unit_amount_decimal recurring nickname metadata lookup_key active "
    "billing_scheme tiers tiers_mode tax_behavior transform_quantity"
)

OPERATIONS = [
    route(
        "POST",
        "/v1/products",
        create_product,
        f"{_PRODUCT_FIELDS} id images marketing_features metadata default_price_data",
    ),
    route(
        "GET",
        "/v1/products",
        listing("product", "/v1/products", "active", "url", where=_product_matches),
        f"{PAGE} active ids url",
    ),
    route("GET", "/v1/products/{id}", retrieve("product")),
    route(
        "POST",
        "/v1/products/{id}",
        update_product,
        f"{_PRODUCT_FIELDS} images marketing_features metadata default_price",
    ),
    route("DELETE", "/v1/products/{id}", delete_product),
    route("POST", "/v1/prices", create_price, _PRICE_TAKES),
    route(
        "GET",
        "/v1/prices",
        listing("price", "/v1/prices", "active", "currency", "product", "type", where=_price_matches),
        f"{PAGE} active currency product type lookup_keys recurring",
    ),
    route("GET", "/v1/prices/{price}", retrieve("price")),
    route("POST", "/v1/prices/{price}", update_price, "active nickname lookup_key tax_behavior metadata"),
    route(
        "POST",
        "/v1/coupons",
        create_coupon,
        "id amount_off applies_to percent_off currency currency_options duration duration_in_months max_redemptions "
        "metadata name redeem_by",
    ),
    route("GET", "/v1/coupons", listing("coupon", "/v1/coupons"), PAGE),
    route("GET", "/v1/coupons/{coupon}", retrieve("coupon")),
    route("DELETE", "/v1/coupons/{coupon}", delete_coupon),
]
