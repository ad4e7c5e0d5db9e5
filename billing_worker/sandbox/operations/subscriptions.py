"""Subscriptions and their items."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid, no_such
from billing_worker.sandbox.core.families import assign, check_metadata, listing, merge, merge_metadata, retrieve
from billing_worker.sandbox.core.pagination import in_range, page
from billing_worker.sandbox.core.routes import CURSOR, PAGE, Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.changing import change_items, invoice_now, prorate_end
from billing_worker.sandbox.engine.charging import check_owner
from billing_worker.sandbox.engine.discounts import new_discounts
from billing_worker.sandbox.engine.standing import ENDED, end
from billing_worker.sandbox.engine.subscribing import check_cancel_at, check_clock_has_room, subscribe
from billing_worker.sandbox.engine.taxes import named_rates

_BOTH = (
    "items proration_behavior payment_behavior trial_end billing_cycle_anchor default_payment_method cancel_at "
    "cancel_at_period_end collection_method days_until_due description discounts metadata trial_settings off_session "
    "default_tax_rates"
)
_CREATE = f"{_BOTH} customer trial_period_days"
_UPDATE = f"{_BOTH} proration_date cancellation_details pause_collection"


def create(call: Call) -> Document:
    """Create a subscription."""
    session, params = call.session, call.params
    if "customer" not in params:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
    check_metadata(params.get("metadata"))
    if params.get("trial_end") is not None and "trial_period_days" in params:
        raise invalid("You may only specify one of these parameters: trial_end, trial_period_days.", param="trial_end")
    customer = session.get("customer", params["customer"], param="customer")
    check_clock_has_room(session, customer)
    subscription, _ = subscribe(session, customer, params)
    return subscription


def update(call: Call) -> Document:
    """Update a subscription."""
    session, params = call.session, call.params
    subscription = session.get("subscription", call.id)
    if subscription["status"] in ENDED:
        if params.keys() - {"metadata", "cancellation_details", "expand"}:
            raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
        merge_metadata(subscription, params)
        session.tell_changes(subscription)
        return subscription
    _update_fields(session, subscription, params)
    _change(session, subscription, params)
    return subscription


def cancel(call: Call) -> Document:
    """Cancel a subscription at once."""
    session, params = call.session, call.params
    subscription = session.get("subscription", call.id)
    if subscription["status"] in ENDED:
        raise no_such("subscription", call.id)
    if params.get("prorate"):
        prorate_end(session, subscription)
    if params.get("invoice_now"):
        invoice_now(session, subscription, {}, whole_period=False)
    merge(subscription, params, "cancellation_details")
    end(session, subscription, reason="cancellation_requested")
    return subscription


def list_items(call: Call) -> Document:
    """List a subscription's items."""
    subscription = call.session.get("subscription", call.params["subscription"], param="subscription")
    return page(reversed(subscription["items"]["data"]), call.params, "/v1/subscription_items")


def retrieve_item(call: Call) -> Document:
    """Return a subscription item."""
    return _find_item(call)[1]


def create_item(call: Call) -> Document:
    """Add an item to a subscription."""
    subscription = call.session.get("subscription", call.params["subscription"], param="subscription")
    given = {key: value for key, value in call.params.items() if key in _ITEM_FIELDS}
    _change(call.session, subscription, _rest(call.params) | {"items": [given]})
    added: Document = subscription["items"]["data"][-1]
    return added


def update_item(call: Call) -> Document:
    """Change an item's price or quantity."""
    subscription, item = _find_item(call)
    given = {key: value for key, value in call.params.items() if key in _ITEM_FIELDS} | {"id": item["id"]}
    _change(call.session, subscription, _rest(call.params) | {"items": [given]})
    return item


def delete_item(call: Call) -> Document:
    """Take an item off a subscription."""
    subscription, item = _find_item(call)
    _change(call.session, subscription, _rest(call.params) | {"items": [{"id": item["id"], "deleted": True}]})
    return {"id": item["id"], "object": "subscription_item", "deleted": True}


_ITEM_FIELDS = frozenset({"price", "price_data", "quantity", "metadata"})
_ITEM_TAKES = "price price_data quantity metadata proration_behavior proration_date payment_behavior"


def _rest(params: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in _ITEM_FIELDS | {"subscription", "expand"}}


def _find_item(call: Call) -> tuple[Document, Document]:
    subscription = call.session.find("subscription", call.session.store.subscription_of_item(call.id))
    items = subscription["items"]["data"] if subscription else []
    item = next((item for item in items if item["id"] == call.id), None)
    if subscription is None or item is None:
        raise no_such("subscription_item", call.id)
    return subscription, item


def _change(session: Session, subscription: Document, params: dict[str, Any]) -> None:
    if params.get("payment_behavior") == "pending_if_incomplete":
        raise invalid("The sandbox does not simulate pending_if_incomplete.", param="payment_behavior")
    is_due, is_whole = change_items(session, subscription, params)
    session.tell_changes(subscription)
    if is_due:
        invoice_now(session, subscription, params, whole_period=is_whole)
    session.tell_changes(subscription)


def _update_fields(session: Session, subscription: Document, params: dict[str, Any]) -> None:
    assign(subscription, params, "collection_method days_until_due description pause_collection default_payment_method")
    if method := subscription["default_payment_method"]:
        check_owner(session.get("payment_method", method, param="default_payment_method"), subscription["customer"])
    merge(subscription, params, "trial_settings", "cancellation_details")
    merge_metadata(subscription, params)
    check_metadata(subscription["metadata"])
    if "default_tax_rates" in params:
        subscription["default_tax_rates"] = named_rates(session, params["default_tax_rates"])
    if "discounts" in params:
        given = params["discounts"] or []
        subscription["discounts"] = new_discounts(session, given, subscription["customer"], subscription["id"])
    if "cancel_at" in params:
        check_cancel_at(params["cancel_at"], session.now)
        subscription["cancel_at"] = params["cancel_at"] or None
        subscription["canceled_at"] = session.now if params["cancel_at"] else None
    if "cancel_at_period_end" in params:
        _cancel_at_period_end(session, subscription, is_wanted=params["cancel_at_period_end"])


def _cancel_at_period_end(session: Session, subscription: Document, *, is_wanted: bool) -> None:
    if is_wanted == subscription["cancel_at_period_end"]:
        return
    ends = min(item["current_period_end"] for item in subscription["items"]["data"])
    subscription |= {
        "cancel_at_period_end": is_wanted,
        "cancel_at": ends if is_wanted else None,
        "canceled_at": session.now if is_wanted else None,
    }
    reason = "cancellation_requested" if is_wanted else None
    subscription["cancellation_details"] = subscription["cancellation_details"] | {"reason": reason}


def _has_status(subscription: Document, params: dict[str, Any]) -> bool:
    wanted, status = params.get("status"), subscription["status"]
    if wanted in {"all", status}:
        return True
    if wanted == "ended":
        return status in ENDED
    return wanted is None and status != "canceled"


def _matches(subscription: Document, params: dict[str, Any]) -> bool:
    item = subscription["items"]["data"][0]
    prices = {item["price"]["id"] for item in subscription["items"]["data"]}
    return (
        _has_status(subscription, params)
        and ("price" not in params or params["price"] in prices)
        and in_range(item["current_period_start"], params.get("current_period_start"))
        and in_range(item["current_period_end"], params.get("current_period_end"))
    )


OPERATIONS = [
    route("POST", "/v1/subscriptions", create, _CREATE),
    route(
        "GET",
        "/v1/subscriptions",
        listing("subscription", "/v1/subscriptions", "customer", "collection_method", where=_matches),
        f"{PAGE} customer collection_method status price test_clock current_period_start current_period_end",
    ),
    route("GET", "/v1/subscriptions/{subscription_exposed_id}", retrieve("subscription")),
    route("POST", "/v1/subscriptions/{subscription_exposed_id}", update, _UPDATE),
    route("DELETE", "/v1/subscriptions/{subscription_exposed_id}", cancel, "invoice_now prorate cancellation_details"),
    route("GET", "/v1/subscription_items", list_items, f"{CURSOR} subscription"),
    route("POST", "/v1/subscription_items", create_item, f"subscription {_ITEM_TAKES}"),
    route("GET", "/v1/subscription_items/{item}", retrieve_item),
    route("POST", "/v1/subscription_items/{item}", update_item, _ITEM_TAKES),
    route("DELETE", "/v1/subscription_items/{item}", delete_item, "proration_behavior proration_date"),
]
