"""Customers."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, counted_list, public
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.expansion import Includable
from billing_worker.sandbox.core.families import assign, check_metadata, listing, merge, merge_metadata
from billing_worker.sandbox.core.identifiers import new_id, token
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.routes import CURSOR, PAGE, Call, route
from billing_worker.sandbox.core.session import TEST_CLOCK, Session
from billing_worker.sandbox.engine.cards import find_method
from billing_worker.sandbox.engine.charging import check_owner
from billing_worker.sandbox.engine.discounts import set_customer_discount
from billing_worker.sandbox.engine.sources import add_source
from billing_worker.sandbox.engine.standing import ENDED, end
from billing_worker.sandbox.operations.payment_methods import attach

_FIELDS = "balance description email name next_invoice_sequence phone preferred_locales shipping tax_exempt"
_CUSTOMERS_OF_A_CLOCK = 3
"""Source: Stripe documentation, “Test clocks”, limits."""
_TAKES = f"{_FIELDS} address invoice_settings metadata invoice_prefix"


def create(call: Call) -> Document:
    """Create a customer."""
    params, session = call.params, call.session
    if clock_id := params.get("test_clock"):
        _join_clock(session, clock_id)
    customer: Document = {
        "id": new_id("customer"),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": session.now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": params.get("invoice_prefix") or token(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": check_metadata(params.get("metadata")),
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": clock_id or None,
    }
    _set(customer, params)
    session.add(customer)
    _equip(call, customer)
    return customer


def _equip(call: Call, customer: Document) -> None:
    session, params = call.session, call.params
    attached = find_method(session, params["payment_method"]) if "payment_method" in params else None
    if attached is not None:
        check_owner(attached, customer["id"])
    _set_default(call, customer, attached)
    if params.get("coupon"):
        set_customer_discount(session, customer, params["coupon"])
    session.tell("customer.created", customer)
    if params.get("source"):
        add_source(session, customer, params["source"])
    if attached is not None:
        attach(session, attached, customer["id"])


def retrieve(call: Call) -> Document:
    """Return a customer; a deleted one as a stub."""
    stub = call.session.find("_deleted_customer", call.id)
    return _stub(call.id) if stub is not None else call.session.get("customer", call.id)


def update(call: Call) -> Document:
    """Update a customer."""
    customer = call.session.get("customer", call.id)
    _set(customer, call.params)
    merge_metadata(customer, call.params)
    _set_default(call, customer)
    if "coupon" in call.params:
        set_customer_discount(call.session, customer, call.params["coupon"])
    if call.params.get("source"):
        customer["default_source"] = add_source(call.session, customer, call.params["source"])["id"]
    if default := call.params.get("default_source"):
        customer["default_source"] = call.session.get("card", default, param="default_source")["id"]
    call.session.tell_changes(customer)
    return customer


def delete(call: Call) -> Document:
    """Delete a customer; its subscriptions end at once."""
    remove_customer(call.session, call.session.get("customer", call.id))
    return _stub(call.id)


def remove_customer(session: Session, customer: Document) -> None:
    """Take a customer away with all that can bring further charges; invoices and charges stay."""
    for subscription in session.select("subscription", "customer", customer["id"]):
        if subscription["status"] not in ENDED:
            end(session, subscription, reason="cancellation_requested")
    for method in session.select("payment_method", "customer", customer["id"]):
        session.tell("payment_method.detached", method | {"customer": None})
        session.remove(method)
    session.tell("customer.deleted", customer)
    session.remove(customer)
    session.add({"object": "_deleted_customer", "id": customer["id"]})


def list_methods(call: Call) -> Document:
    """List a customer's payment methods."""
    call.session.get("customer", call.id)
    found = reversed(call.session.peek("payment_method", "customer", call.id))
    wanted = call.params.get("type")
    kept = (method for method in found if wanted in {None, method["type"]})
    return page(kept, call.params, f"/v1/customers/{call.id}/payment_methods", kind="payment_method")


def retrieve_method(call: Call) -> Document:
    """Return one of a customer's payment methods."""
    method = call.session.get("payment_method", call.ids[1])
    check_owner(method, call.id)
    return method


def subscriptions_of(session: Session, customer: Document) -> Document:
    """Give a customer's running `subscriptions`, which are left out unless expanded."""
    found = reversed(session.peek("subscription", "customer", customer["id"]))
    running = (public(subscription) for subscription in found if subscription["status"] not in ENDED)
    return counted_list(running, f"/v1/customers/{customer['id']}/subscriptions")


def sources_of(session: Session, customer: Document) -> Document:
    """Give a customer's `sources`."""
    return _owned(session, customer, "card", "sources")


def tax_ids_of(session: Session, customer: Document) -> Document:
    """Give a customer's `tax_ids`."""
    return _owned(session, customer, "tax_id", "tax_ids")


def credit_of(_: Session, customer: Document) -> Document:
    """Give a customer's `invoice_credit_balance`: the balance by its currency."""
    return {customer["currency"]: customer["balance"]} if customer["currency"] and customer["balance"] else {}


def tax_of(_: Session, customer: Document) -> Document:
    """Give what Stripe Tax knows of a customer: the sandbox's account collects no tax anywhere."""
    country = (customer["address"] or {}).get("country")
    location = country and {"country": country, "source": "billing_address", "state": customer["address"]["state"]}
    return {
        "automatic_tax": "not_collecting" if country else "unrecognized_location",
        "ip_address": None,
        "location": location or None,
        "provider": "stripe",
    }


def _owned(session: Session, customer: Document, kind: str, name: str) -> Document:
    found = reversed(session.peek(kind, "customer", customer["id"]))
    return counted_list(map(public, found), f"/v1/customers/{customer['id']}/{name}")


def _stub(customer_id: str) -> Document:
    return {"id": customer_id, "object": "customer", "deleted": True}


def _set(customer: Document, params: dict[str, Any]) -> None:
    assign(customer, params, _FIELDS)
    for name, empty in (("balance", 0), ("preferred_locales", []), ("tax_exempt", "none")):
        if customer[name] is None:
            customer[name] = empty
    if "address" in params:
        empty_address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
        customer["address"] = None if params["address"] == "" else empty_address | params["address"]


def _set_default(call: Call, customer: Document, attached: Document | None = None) -> None:
    settings = call.params.get("invoice_settings") or {}
    default = settings.get("default_payment_method")
    if attached is not None and default == call.params["payment_method"]:
        settings["default_payment_method"] = attached["id"]
    elif default:
        method = call.session.get("payment_method", default, param="invoice_settings[default_payment_method]")
        if method["customer"] != customer["id"]:
            raise ApiError(
                f"The customer does not have a payment method with the ID {default}. The payment method must be "
                "attached to the customer.",
                code="resource_missing",
                param="invoice_settings[default_payment_method]",
            )
    merge(customer, call.params, "invoice_settings")


def _join_clock(session: Session, clock_id: str) -> None:
    clock = session.get(TEST_CLOCK, clock_id, param="test_clock")
    if len(session.peek("customer", "test_clock", clock_id)) >= _CUSTOMERS_OF_A_CLOCK:
        raise invalid(
            f"A test clock can have at most {_CUSTOMERS_OF_A_CLOCK} customers: use another one.", param="test_clock"
        )
    session.follow(clock)


def _matches(customer: Document, params: dict[str, Any]) -> bool:
    return "email" not in params or (customer["email"] or "") == params["email"]


INCLUDABLES: dict[tuple[str, str], Includable] = {
    ("customer", "invoice_credit_balance"): credit_of,
    ("customer", "sources"): sources_of,
    ("customer", "subscriptions"): subscriptions_of,
    ("customer", "tax"): tax_of,
    ("customer", "tax_ids"): tax_ids_of,
}
"""What is left out of a customer unless expanded."""
OPERATIONS = [
    route("POST", "/v1/customers", create, f"{_TAKES} payment_method source test_clock"),
    route("GET", "/v1/customers", listing("customer", "/v1/customers", where=_matches), f"{PAGE} email test_clock"),
    route("GET", "/v1/customers/{customer}", retrieve),
    route("POST", "/v1/customers/{customer}", update, f"{_TAKES} source default_source"),
    route("DELETE", "/v1/customers/{customer}", delete),
    route("GET", "/v1/customers/{customer}/payment_methods", list_methods, f"{CURSOR} type"),
    route("GET", "/v1/customers/{customer}/payment_methods/{payment_method}", retrieve_method),
]
