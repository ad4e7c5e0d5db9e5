"""Promotion codes, and the discounts that customers hold."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign, listing, merge, merge_metadata, retrieve
from billing_worker.sandbox.core.identifiers import token
from billing_worker.sandbox.core.resources import Resource
from billing_worker.sandbox.core.routes import PAGE, Call, route
from billing_worker.sandbox.engine.discounts import drop_customer_discount


def update_coupon(call: Call) -> Document:
    """Update a coupon's name and metadata: never what it takes off."""
    coupon = call.session.get("coupon", call.id)
    assign(coupon, call.params, "name")
    merge_metadata(coupon, call.params)
    call.session.tell_changes(coupon)
    return coupon


def _complete(call: Call, promotion: Document) -> None:
    session, params = call.session, call.params
    coupon = session.get("coupon", params["promotion"].get("coupon"), param="promotion[coupon]")
    code = params.get("code") or token(8).upper()
    if any(known["active"] and known["code"].lower() == code.lower() for known in _all(call)):
        raise invalid(
            "An active promotion code with that code already exists.", param="code", code="resource_already_exists"
        )
    if customer := params.get("customer"):
        session.get("customer", customer, param="customer")
    promotion |= {"code": code, "promotion": {"coupon": coupon["id"], "type": "coupon"}}
    merge(promotion, params, "restrictions")


def _revise(call: Call, promotion: Document) -> None:
    merge(promotion, call.params, "restrictions")


def _all(call: Call) -> list[Document]:
    return call.session.scan("promotion_code", lambda _: True)


def _matches(promotion: Document, params: dict[str, Any]) -> bool:
    return "coupon" not in params or promotion["promotion"]["coupon"] == params["coupon"]


PROMOTION_CODES = Resource(
    kind="promotion_code",
    url="/v1/promotion_codes",
    blank={
        "active": True,
        "customer": None,
        "customer_account": None,
        "expires_at": None,
        "max_redemptions": None,
        "restrictions": {
            "first_time_transaction": False,
            "minimum_amount": None,
            "minimum_amount_currency": None,
        },
        "times_redeemed": 0,
    },
    event="promotion_code.created",
    fields="active customer expires_at max_redemptions",
    changeable="active",
    takes="promotion code restrictions",
    changes="restrictions",
    prepare=_complete,
    revise=_revise,
)


def delete_discount(call: Call) -> Document:
    """Take a customer's discount away."""
    customer = call.session.get("customer", call.id)
    discount: Document | None = customer["discount"]
    if discount is None:
        raise invalid(f"No active discount for customer: {call.id}", code="resource_missing")
    drop_customer_discount(call.session, customer)
    return discount | {"deleted": True}


_FILTERS = "active code customer"
OPERATIONS = [
    route("POST", "/v1/coupons/{coupon}", update_coupon, "name metadata"),
    PROMOTION_CODES.creating(),
    PROMOTION_CODES.updating(),
    route("GET", "/v1/promotion_codes/{id}", retrieve("promotion_code")),
    route(
        "GET",
        "/v1/promotion_codes",
        listing("promotion_code", "/v1/promotion_codes", *_FILTERS.split(), where=_matches),
        f"{PAGE} {_FILTERS} coupon",
    ),
    route("DELETE", "/v1/customers/{customer}/discount", delete_discount),
]
