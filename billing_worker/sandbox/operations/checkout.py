"""Checkout sessions, what their hosted pages call, and payment links."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from billing_worker.sandbox.core.documents import Document, list_of, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import check_metadata, listing, merge_metadata, retrieve
from billing_worker.sandbox.core.identifiers import new_id, token
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.resources import Resource, action
from billing_worker.sandbox.core.routes import CURSOR, PAGE, Call, Handler, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine import checkout as hosted
from billing_worker.sandbox.engine.baskets import basket, recurring_items, subtotal
from billing_worker.sandbox.engine.cards import find_method
from billing_worker.sandbox.operations.customers import create as create_customer

_OPEN_SECONDS = 86_400
"""Source: Stripe API reference, Checkout Session.expires_at: 24 hours by default."""
_NULL = (
    *("after_expiration", "billing_address_collection", "client_secret", "collected_information", "consent"),
    *("consent_collection", "currency_conversion", "customer_account", "customer_details", "discounts", "invoice"),
    *("invoice_creation", "origin_context", "payment_link", "payment_method_configuration_details", "permissions"),
    *("recovered_from", "saved_payment_method_options", "setup_intent", "shipping_address_collection"),
    *("shipping_cost", "submit_type", "subscription", "wallet_options", "payment_intent", "integration_identifier"),
)
_PASSED = (
    "allow_promotion_codes",
    "cancel_url",
    "client_reference_id",
    "customer_creation",
    "customer_email",
    "locale",
)


def create(call: Call) -> Document:
    """Open a checkout page."""
    session, params = call.session, call.params
    mode = params.get("mode", "payment")
    if mode not in {"payment", "subscription"}:
        raise invalid(f"The sandbox has no checkout in mode {mode}.", param="mode", code="sandbox_not_simulated")
    items = basket(session, params.get("line_items"))
    if (mode == "subscription") != bool(recurring_items(items)):
        raise invalid("You specified a mode that does not fit the prices' types.", param="line_items")
    if customer := params.get("customer"):
        session.get("customer", customer, param="customer")
    return session.add(_page(session, params, items) | {"customer": customer, "mode": mode})


def update(call: Call) -> Document:
    """Update a session's metadata."""
    checkout = call.session.get("checkout.session", call.id)
    merge_metadata(checkout, call.params)
    return checkout


def _expire(call: Call, checkout: Document) -> None:
    hosted.expire(call.session, checkout)


def confirm_page(call: Call) -> Document:
    """Confirm a page as its visitor does."""
    session, params = call.session, call.params
    checkout = session.get("checkout.session", call.id)
    if str(params.get("expected_amount", checkout["amount_total"])) != str(checkout["amount_total"]):
        raise invalid("The amount has changed since the page was loaded.", param="expected_amount")
    method = find_method(session, str(params.get("payment_method", "")))
    if method["type"] not in checkout["payment_method_types"]:
        raise invalid(f"This page does not take {method['type']}.", param="payment_method")
    if checkout["customer"] is None and checkout["mode"] == "subscription":
        checkout["customer"] = _visitor(call, method)["id"]
    hosted.complete(session, checkout, method)
    return checkout


def _visitor(call: Call, method: Document) -> Document:
    details = {name: method["billing_details"][name] for name in ("email", "name") if method["billing_details"][name]}
    return create_customer(Call(call.session, (), details, call.account_id))


def list_items(kind: str) -> Handler:
    """Make the operation that lists what is on offer."""

    def handle(call: Call) -> Document:
        offer = call.session.get(kind, call.id)
        return page(offer["_items"], call.params, f"{_URLS[kind]}/{call.id}/line_items", kind="item")

    return handle


def line_items_of(session: Session, offer: Document) -> Document:
    """Give the `line_items` of an offer, which are left out unless expanded."""
    items = session.get(offer["object"], offer["id"])["_items"]
    return list_of((public(item) for item in items), f"{_URLS[offer['object']]}/{offer['id']}/line_items")


_URLS = {
    "checkout.session": "/v1/checkout/sessions",
    "payment_link": "/v1/payment_links",
    "quote": "/v1/quotes",
}


def _fill_link(call: Call, link: Document) -> None:
    items = basket(call.session, call.params["line_items"])
    link |= {
        "currency": items[0]["currency"],
        "url": f"https://buy.stripe.com/test_{token(18)}",
        "_items": items,
    }


def _page(session: Session, params: dict[str, Any], items: list[Document]) -> Document:
    session_id = f"{new_id('checkout.session')}{token(34)}"
    total = subtotal(items)
    return (
        dict.fromkeys(_NULL)
        | {name: params.get(name) for name in _PASSED}
        | {
            "id": session_id,
            "object": "checkout.session",
            "adaptive_pricing": {"enabled": False},
            "amount_subtotal": total,
            "amount_total": total,
            "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
            "created": session.recorded_at,
            "currency": items[0]["currency"],
            "custom_fields": [],
            "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
            "expires_at": params.get("expires_at", session.recorded_at + _OPEN_SECONDS),
            "livemode": False,
            "metadata": check_metadata(params.get("metadata")),
            "payment_method_collection": "always" if recurring_items(items) else "if_required",
            "payment_method_options": {},
            "payment_method_types": params.get("allowed_payment_method_types") or ["card"],
            "payment_status": "unpaid",
            "phone_number_collection": {"enabled": False},
            "shipping_options": [],
            "status": "open",
            "success_url": params.get("success_url"),
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            "ui_mode": params.get("ui_mode", "hosted_page"),
            "url": f"https://checkout.stripe.com/c/pay/{session_id}",
            "_items": items,
            "_payment_intent_data": params.get("payment_intent_data") or {},
            "_subscription_data": params.get("subscription_data") or {},
        }
    )


_LINK_FIELDS = (
    "allow_promotion_codes billing_address_collection customer_creation inactive_message submit_type "
    "payment_method_types"
)
LINKS = Resource(
    kind="payment_link",
    url="/v1/payment_links",
    blank=dict.fromkeys(
        (
            *("application", "application_fee_amount", "application_fee_percent", "consent_collection"),
            *("inactive_message", "invoice_creation", "on_behalf_of", "payment_intent_data", "payment_method_options"),
            *("payment_method_types", "restrictions", "shipping_address_collection", "subscription_data"),
            *("transfer_data",),
        )
    )
    | {
        "active": True,
        "after_completion": {"hosted_confirmation": {"custom_message": None}, "type": "hosted_confirmation"},
        "allow_promotion_codes": False,
        "automatic_tax": {"enabled": False, "liability": None},
        "billing_address_collection": "auto",
        "custom_fields": [],
        "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        "customer_creation": "if_required",
        "payment_method_collection": "always",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "submit_type": "auto",
        "tax_id_collection": {"enabled": False, "required": "never"},
    },
    event="payment_link.created",
    fields=f"{_LINK_FIELDS} on_behalf_of",
    changeable=f"active {_LINK_FIELDS}",
    takes="line_items",
    filters="active",
    prepare=_fill_link,
    filters_created=False,
)

_TAKES = (
    f"{' '.join(_PASSED)} customer expires_at line_items metadata mode payment_intent_data success_url ui_mode "
    "subscription_data allowed_payment_method_types"
)
_FILTERS = "customer payment_intent payment_link status subscription"
OPERATIONS = [
    route("POST", "/v1/checkout/sessions", create, _TAKES),
    route(
        "GET",
        "/v1/checkout/sessions",
        listing("checkout.session", "/v1/checkout/sessions", *_FILTERS.split()),
        f"{PAGE} {_FILTERS}",
    ),
    route("GET", "/v1/checkout/sessions/{session}", retrieve("checkout.session")),
    route("POST", "/v1/checkout/sessions/{session}", update, "metadata"),
    route(
        "POST",
        "/v1/checkout/sessions/{session}/expire",
        action("checkout.session", None, _expire, allowed=frozenset({"open"})),
    ),
    route(
        "GET",
        "/v1/checkout/sessions/{session}/line_items",
        list_items("checkout.session"),
        CURSOR,
    ),
    *LINKS.routes(),
    route("GET", "/v1/payment_links/{id}/line_items", list_items("payment_link"), CURSOR),
]
PAGES = [
    replace(entry, is_published=False)
    for entry in (
        route("GET", "/v1/payment_pages/{session}", retrieve("checkout.session")),
        route("POST", "/v1/payment_pages/{session}/confirm", confirm_page, "payment_method expected_amount"),
    )
]
