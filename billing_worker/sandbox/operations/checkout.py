"""Checkout sessions, what their hosted pages call, and payment links."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from billing_worker.sandbox.core.documents import Document, clone, list_of, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import check_metadata, listing, merge_metadata, retrieve
from billing_worker.sandbox.core.identifiers import new_id, token
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.resources import Resource, action
from billing_worker.sandbox.core.routes import CURSOR, PAGE, Call, Handler, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine import checkout as hosted
from billing_worker.sandbox.engine.baskets import add_up, basket, recurring_items
from billing_worker.sandbox.engine.cards import find_method
from billing_worker.sandbox.engine.setups import new_setup_intent
from billing_worker.sandbox.operations.customers import create as create_customer

_OPEN_SECONDS = 86_400
"""Source: Stripe API reference, Checkout Session.expires_at: 24 hours by default."""
_LIFETIME = (30 * 60, 86_400)
"""Source: the same: from 30 minutes to 24 hours after creation."""
_MODES = ("payment", "setup", "subscription")
_NULL = (
    *("after_expiration", "billing_address_collection", "client_secret", "collected_information", "consent"),
    *("consent_collection", "currency_conversion", "customer_account", "customer_details", "discounts", "invoice"),
    *("invoice_creation", "origin_context", "payment_link", "payment_method_configuration_details", "permissions"),
    *("recovered_from", "saved_payment_method_options", "setup_intent", "shipping_address_collection"),
    *("shipping_cost", "submit_type", "subscription", "wallet_options", "payment_intent", "integration_identifier"),
)
_BRANDING: Document = {
    "background_color": "#ffffff",
    "border_style": "rounded",
    "button_color": "#0074d4",
    "display_name": "Sandbox",
    "font_family": "default",
    "icon": None,
    "logo": None,
}
_NO_INVOICE: Document = {
    "enabled": False,
    "invoice_data": {
        **dict.fromkeys(("account_tax_ids", "custom_fields", "description", "footer", "issuer", "rendering_options")),
        "metadata": {},
    },
}
_CREATES_CUSTOMERS = {"payment": "if_required", "subscription": "always"}
_PASSED = (
    *("allow_promotion_codes", "billing_address_collection", "cancel_url", "client_reference_id", "customer_creation"),
    *("customer_email", "integration_identifier", "locale", "origin_context", "redirect_on_completion", "return_url"),
    *("saved_payment_method_options", "submit_type", "wallet_options"),
)
"""What only the page itself shows or does."""


def create(call: Call) -> Document:
    """Open a checkout page."""
    session, params = call.session, call.params
    mode = params.get("mode", "payment")
    if mode not in _MODES:
        raise invalid(f"Invalid mode: must be one of {', '.join(_MODES)}", param="mode")
    _check_simulated(params)
    items = _items(session, params, mode)
    if customer := params.get("customer"):
        session.get("customer", customer, param="customer")
        if "customer_email" in params:
            raise invalid(
                "You may only specify one of these parameters: customer, customer_email.", param="customer_email"
            )
    checkout = _page(session, params, items) | {"customer": customer, "mode": mode}
    checkout |= _of_mode(params, mode) | _of_customer(session, customer, mode)
    if mode == "setup":
        checkout["setup_intent"] = new_setup_intent(session, customer, **_setup_data(params))["id"]
    return session.add(checkout)


def _of_mode(params: dict[str, Any], mode: str) -> Document:
    shown: Document = {"customer_creation": None, "invoice_creation": None, "discounts": None}
    if mode == "setup":
        return shown | {"payment_method_collection": "always"}
    if "customer" not in params:
        shown["customer_creation"] = params.get("customer_creation") or _CREATES_CUSTOMERS[mode]
    if mode == "payment":
        shown["invoice_creation"] = clone(_NO_INVOICE)
    return shown | {"discounts": hosted.shown_discounts(params.get("discounts") or [])}


def _of_customer(session: Session, customer_id: str | None, mode: str) -> Document:
    if customer_id is None:
        return {}
    blank = ("address", "business_name", "individual_name", "name", "phone", "tax_ids")
    customer = session.get("customer", customer_id)
    exempt = None if mode == "setup" else customer["tax_exempt"]
    return {
        "collected_information": dict.fromkeys(("business_name", "individual_name", "shipping_details")),
        "customer_details": dict.fromkeys(blank) | {"email": customer["email"], "tax_exempt": exempt},
    }


def _check_simulated(params: dict[str, Any]) -> None:
    for name in ("automatic_tax", "invoice_creation", "adaptive_pricing", "managed_payments"):
        if (params.get(name) or {}).get("enabled"):
            raise invalid(f"The sandbox does not simulate {name}.", param=name, code="sandbox_not_simulated")


def _items(session: Session, params: dict[str, Any], mode: str) -> list[Document]:
    if mode == "setup":
        if params.get("line_items"):
            raise invalid("You can not pass `line_items` in `setup` mode.", param="line_items")
        return []
    items = basket(session, params.get("line_items"))
    is_repeated = bool(recurring_items(items))
    if mode == "subscription" and not is_repeated:
        raise invalid(
            "You must provide at least one recurring price in `subscription` mode when using prices.",
            param="line_items",
        )
    if mode == "payment" and is_repeated:
        raise invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use "
            "only one-time prices.",
            param="line_items",
        )
    return items


def _setup_data(params: dict[str, Any]) -> dict[str, Any]:
    data = params.get("setup_intent_data") or {}
    return {"description": data.get("description"), "metadata": check_metadata(data.get("metadata"))}


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
    if code := params.get("promotion_code"):
        hosted.apply_code(session, checkout, str(code))
    if checkout["customer"] is None and (checkout["mode"] != "payment" or checkout["customer_creation"] == "always"):
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
    add_up(items, {}, [])
    link |= {
        "currency": items[0]["currency"],
        "url": f"https://buy.stripe.com/test_{token(18)}",
        "_items": items,
    }


def _page(session: Session, params: dict[str, Any], items: list[Document]) -> Document:
    session_id, hosted_at = f"{new_id('checkout.session')}{token(34)}", params.get("ui_mode", "hosted_page")
    currency = items[0]["currency"] if items else params.get("currency")
    is_hosted = hosted_at in {"hosted_page", "hosted"}
    page_of = (
        dict.fromkeys(_NULL)
        | {name: params.get(name) for name in _PASSED}
        | {
            "id": session_id,
            "object": "checkout.session",
            "adaptive_pricing": {"enabled": False},
            "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
            "branding_settings": clone(_BRANDING),
            "client_secret": None if is_hosted else f"{session_id}_secret_{token(24)}",
            "consent_collection": params.get("consent_collection"),
            "created": session.recorded_at,
            "currency": currency,
            "custom_fields": params.get("custom_fields") or [],
            "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance"))
            | (params.get("custom_text") or {}),
            "expires_at": _expires_at(session, params),
            "livemode": False,
            "managed_payments": {"enabled": False},
            "metadata": check_metadata(params.get("metadata")),
            **_ways_of_paying(params, items),
            "payment_status": "unpaid" if items else "no_payment_required",
            "phone_number_collection": params.get("phone_number_collection") or {"enabled": False},
            "shipping_options": [],
            "status": "open",
            "success_url": params.get("success_url"),
            "tax_id_collection": params.get("tax_id_collection"),
            "ui_mode": hosted_at,
            "url": f"https://checkout.stripe.com/c/pay/{session_id}" if is_hosted else None,
            "_coupons": hosted.coupons_from(session, params, items),
            "_discount_params": params.get("discounts") or [],
            "_items": items,
            "_payment_intent_data": params.get("payment_intent_data") or {},
            "_subscription_data": params.get("subscription_data") or {},
        }
    )
    hosted.add_up_page(session, page_of)
    return page_of


def _ways_of_paying(params: dict[str, Any], items: list[Document]) -> Document:
    types = params.get("allowed_payment_method_types")
    return {
        "payment_method_collection": params.get("payment_method_collection")
        or ("always" if recurring_items(items) else "if_required"),
        "payment_method_configuration_details": None if types else {"id": "pmc_sandbox", "parent": None},
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}}
        | (params.get("payment_method_options") or {}),
        "payment_method_types": types or ["card"],
    }


def _expires_at(session: Session, params: dict[str, Any]) -> int:
    soonest, latest = (session.recorded_at + seconds for seconds in _LIFETIME)
    expires: int = params.get("expires_at", session.recorded_at + _OPEN_SECONDS)
    if not soonest <= expires <= latest:
        raise invalid(
            "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from Checkout Session "
            "creation.",
            param="expires_at",
        )
    return expires


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
        "managed_payments": {"enabled": False},
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
    has_created=False,
    filters_created=False,
)

_TAKES = (
    f"{' '.join(_PASSED)} adaptive_pricing allowed_payment_method_types automatic_tax consent_collection currency "
    "custom_fields custom_text customer customer_update discounts expires_at invoice_creation line_items "
    "managed_payments metadata mode payment_intent_data payment_method_collection payment_method_options "
    "phone_number_collection setup_intent_data subscription_data success_url tax_id_collection ui_mode"
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
        route(
            "POST", "/v1/payment_pages/{session}/confirm", confirm_page, "payment_method expected_amount promotion_code"
        ),
    )
]
