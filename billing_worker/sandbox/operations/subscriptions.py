"""Subscriptions and their items."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, clone, public
from billing_worker.sandbox.core.errors import invalid, no_such
from billing_worker.sandbox.core.families import assign, listing, merge, merge_metadata, retrieve
from billing_worker.sandbox.core.pagination import in_range, page
from billing_worker.sandbox.core.routes import CURSOR, PAGE, Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.changing import change_items, final_invoice, invoice_now, prorate_end
from billing_worker.sandbox.engine.discounts import Redeemer, drop_discounts, new_discounts
from billing_worker.sandbox.engine.items import item_amount
from billing_worker.sandbox.engine.pending_updates import change_when_paid
from billing_worker.sandbox.engine.standing import ENDED, end
from billing_worker.sandbox.engine.subscribing import check_behavior, check_clock_has_room, subscribe
from billing_worker.sandbox.engine.subscription_terms import TERMS, first_billing_mode, set_terms
from billing_worker.sandbox.engine.taxes import named_rates

_BOTH = (
    f"items proration_behavior payment_behavior trial_end billing_cycle_anchor default_payment_method discounts "
    f"metadata off_session default_tax_rates add_invoice_items trial_from_plan {TERMS}"
)
_CREATE = f"{_BOTH} customer trial_period_days currency billing_mode backdate_start_date billing_cycle_anchor_config"
_UPDATE = f"{_BOTH} proration_date cancellation_details pause_collection"
_FEEDBACK = (
    *("customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex"),
    *("too_expensive", "unused"),
)


def create(call: Call) -> Document:
    """Create a subscription."""
    session, params = call.session, call.params
    if "customer" not in params:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
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
        _set_cancellation(subscription, params)
        merge_metadata(subscription, params)
        session.tell_changes(subscription)
        return subscription
    before = clone(subscription)
    if check_behavior(params) != "pending_if_incomplete":
        _update_fields(session, subscription, params)
    _change(session, subscription, params, before)
    return subscription


def cancel(call: Call) -> Document:
    """Cancel a subscription at once."""
    session, params = call.session, call.params
    subscription = session.get("subscription", call.id)
    if subscription["status"] in ENDED:
        raise no_such("subscription", call.id)
    is_running = subscription["status"] not in {"trialing", "incomplete", "paused"}
    if params.get("prorate") and is_running:
        prorate_end(session, subscription)
    if params.get("invoice_now") and is_running:
        final_invoice(session, subscription)
    _set_cancellation(subscription, params)
    end(session, subscription, reason="cancellation_requested")
    return subscription


def delete_discount(call: Call) -> Document:
    """Take a subscription's discounts away."""
    session = call.session
    subscription = session.get("subscription", call.id)
    if not subscription["discounts"]:
        raise invalid(f"No active discount for subscription: {call.id}", code="resource_missing")
    discount = public(session.get("discount", subscription["discounts"][0]))
    drop_discounts(session, subscription["discounts"])
    subscription["discounts"] = []
    session.tell_changes(subscription)
    return discount | {"deleted": True}


def migrate(call: Call) -> Document:
    """Change a subscription to flexible billing."""
    subscription = call.session.get("subscription", call.id)
    given = call.params["billing_mode"]
    if subscription["billing_mode"]["type"] == "flexible":
        raise invalid("This subscription has the billing mode `flexible` already.", param="billing_mode")
    if given["type"] != "flexible":
        raise invalid("Invalid billing_mode[type]: must be one of flexible", param="billing_mode[type]")
    subscription["billing_mode"] = first_billing_mode({"billing_mode": given}, call.session.now)
    call.session.tell_changes(subscription)
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


_ITEM_FIELDS = frozenset({"price", "plan", "price_data", "quantity", "metadata", "tax_rates", "discounts"})
_ITEM_TAKES = f"{' '.join(sorted(_ITEM_FIELDS))} proration_behavior proration_date payment_behavior"


def _rest(params: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in _ITEM_FIELDS | {"subscription", "expand"}}


def _find_item(call: Call) -> tuple[Document, Document]:
    subscription = call.session.find("subscription", call.session.store.subscription_of_item(call.id))
    items = subscription["items"]["data"] if subscription else []
    item = next((item for item in items if item["id"] == call.id), None)
    if subscription is None or item is None:
        raise no_such("subscription_item", call.id)
    return subscription, item


def _change(session: Session, subscription: Document, params: dict[str, Any], before: Document | None = None) -> None:
    if subscription["status"] in ENDED:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    if subscription["schedule"] and not params.keys().isdisjoint({"cancel_at", "cancel_at_period_end"}):
        raise invalid(
            f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and updating any "
            "cancelation behavior directly is not allowed. Please update the schedule instead.",
        )
    if check_behavior(params) == "pending_if_incomplete":
        change_when_paid(session, subscription, params)
        return
    is_due, is_whole = change_items(session, subscription, params, before)
    session.tell_changes(subscription)
    if is_due:
        invoice_now(session, subscription, params, whole_period=is_whole)
    session.tell_changes(subscription)


def _update_fields(session: Session, subscription: Document, params: dict[str, Any]) -> None:
    assign(subscription, params, "default_payment_method")
    set_terms(session, subscription, params)
    _set_cancellation(subscription, params)
    merge_metadata(subscription, params)
    if "pause_collection" in params:
        given = params["pause_collection"]
        subscription["pause_collection"] = {"resumes_at": None} | given if given else None
    if "default_tax_rates" in params:
        subscription["default_tax_rates"] = named_rates(session, params["default_tax_rates"])
    if "discounts" in params:
        _replace_discounts(session, subscription, params["discounts"])


def _replace_discounts(session: Session, subscription: Document, given: Any) -> None:  # noqa: ANN401 - a list, or an empty string to clear it
    redeemer = Redeemer(
        subscription["customer"],
        subscription=subscription["id"],
        currency=subscription["currency"],
        subtotal_minor=sum(item_amount(session, item) for item in subscription["items"]["data"]),
    )
    held = subscription["discounts"]
    subscription["discounts"] = new_discounts(session, given, redeemer)
    drop_discounts(session, [discount_id for discount_id in held if discount_id not in subscription["discounts"]])


def _set_cancellation(subscription: Document, params: dict[str, Any]) -> None:
    feedback = (params.get("cancellation_details") or {}).get("feedback") or "other"
    if feedback not in _FEEDBACK:
        raise invalid(
            f"Invalid cancellation_details[feedback]: must be one of {', '.join(_FEEDBACK)}",
            param="cancellation_details[feedback]",
        )
    merge(subscription, params, "cancellation_details")


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
    route("DELETE", "/v1/subscriptions/{subscription_exposed_id}/discount", delete_discount),
    route("POST", "/v1/subscriptions/{subscription}/migrate", migrate, "billing_mode"),
    route("GET", "/v1/subscription_items", list_items, f"{CURSOR} subscription"),
    route("POST", "/v1/subscription_items", create_item, f"subscription {_ITEM_TAKES}"),
    route("GET", "/v1/subscription_items/{item}", retrieve_item),
    route("POST", "/v1/subscription_items/{item}", update_item, _ITEM_TAKES),
    route(
        "DELETE",
        "/v1/subscription_items/{item}",
        delete_item,
        "proration_behavior proration_date payment_behavior clear_usage",
    ),
]
