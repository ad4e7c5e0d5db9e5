"""Subscription schedules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from billing_worker.kernel.periods import add_months
from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign, check_metadata, listing, merge, merge_metadata, retrieve
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.routes import PAGE, Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.schedules import begin, cancel, check_running, release
from billing_worker.sandbox.engine.subscribing import check_items, find_price

_SECONDS = {"day": 86_400, "week": 7 * 86_400}
_MONTHS = {"month": 1, "year": 12}


def create(call: Call) -> Document:
    """Create a schedule, from phases or from a running subscription."""
    session, params = call.session, call.params
    if "from_subscription" in params:
        return _adopt(call)
    if "customer" not in params:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
    customer = session.get("customer", params["customer"], param="customer")
    start = params.get("start_date", "now")
    start = session.now if start == "now" else start
    phases = new_phases(call, start)
    schedule = session.add(_blank(call, customer) | {"phases": phases, "end_behavior": _end_behavior(params)})
    _set_defaults(schedule, params)
    if start <= session.now:
        begin(session, schedule)
    session.tell("subscription_schedule.created", schedule)
    return schedule


def update(call: Call) -> Document:
    """Update a schedule; new phases take the place of those that have not ended."""
    session, params = call.session, call.params
    schedule = session.get("subscription_schedule", call.id)
    check_running(schedule)
    merge_metadata(schedule, params)
    if "end_behavior" in params:
        schedule["end_behavior"] = _end_behavior(params)
    _set_defaults(schedule, params)
    if "phases" in params:
        _replace_phases(call, schedule)
    session.tell_changes(schedule)
    return schedule


def cancel_operation(call: Call) -> Document:
    """Cancel a schedule with its subscription."""
    schedule = call.session.get("subscription_schedule", call.id)
    check_running(schedule)
    cancel(call.session, schedule, invoices_now=bool(call.params.get("invoice_now", False)))
    return schedule


def release_operation(call: Call) -> Document:
    """Release a schedule; its subscription runs on."""
    schedule = call.session.get("subscription_schedule", call.id)
    check_running(schedule)
    release(call.session, schedule, event="subscription_schedule.released", status="released")
    return schedule


def new_phases(call: Call, start: int) -> list[Document]:
    """Turn `phases` parameters into phases that follow each other.

    Raises: ApiError for no phases, a missing price, or a phase that ends before it starts.
    """
    given = call.params.get("phases") or []
    if not given:
        raise invalid("Missing required param: phases.", param="phases", code="parameter_missing")
    iterations = call.params.get("iterations") or {}
    phases: list[Document] = []
    for index, entry in enumerate(given):
        start = entry.get("start_date", start) if isinstance(entry.get("start_date"), int) else start
        phase = _phase(call.session, entry, start, iterations.get(str(index)))
        if phases and phase["currency"] != phases[0]["currency"]:
            raise invalid("All phases must use the same currency.", param=f"phases[{index}][items]")
        phases.append(phase)
        start = phase["end_date"]
    return phases


def _phase(session: Session, given: dict[str, Any], start: int, iterations: str | None) -> Document:
    prices = [find_price(session, item) for item in given["items"]]
    check_items([{"price": price} for price in prices])
    items = [
        {
            "billing_thresholds": None,
            "discounts": [],
            "metadata": item.get("metadata") or {},
            "plan": price["id"],
            "price": price["id"],
            "quantity": _quantity(item, price),
            "tax_rates": [],
        }
        for item, price in zip(given["items"], prices, strict=True)
    ]
    phase: Document = dict.fromkeys(
        (
            *("application_fee_percent", "billing_cycle_anchor", "billing_thresholds", "collection_method"),
            *("default_payment_method", "description", "invoice_settings", "on_behalf_of", "transfer_data"),
            "trial_end",
        )
    ) | {
        "add_invoice_items": [],
        "currency": prices[0]["currency"],
        "default_tax_rates": [],
        "discounts": [],
        "end_date": _phase_end(given, prices[0], start, iterations),
        "items": items,
        "metadata": check_metadata(given.get("metadata")),
        "proration_behavior": given.get("proration_behavior", "create_prorations"),
        "start_date": start,
    }
    assign(phase, given, "collection_method default_payment_method description trial_end invoice_settings")
    if given.get("trial"):
        phase["trial_end"] = phase["end_date"]
    return phase


def _quantity(item: Mapping[str, Any], price: Document) -> int | None:
    if price["recurring"]["usage_type"] != "metered":
        return int(item.get("quantity", 1))
    if "quantity" in item:
        raise invalid("You cannot set the quantity of a metered plan.", param="phases[0][items][0][quantity]")
    return None


def _phase_end(given: Mapping[str, Any], price: Document, start: int, iterations: str | None) -> int:
    if "end_date" in given:
        if given["end_date"] <= start:
            raise invalid("A phase must end after it starts.", param="phases[0][end_date]")
        return int(given["end_date"])
    if "duration" in given:
        duration = given["duration"]
        return _later(start, duration["interval"], duration.get("interval_count", 1))
    rhythm = price["recurring"]
    # One billing period unless told otherwise.
    return _later(start, rhythm["interval"], rhythm["interval_count"] * int(iterations or 1))


def _later(start: int, interval: str, count: int) -> int:
    if interval in _SECONDS:
        return start + _SECONDS[interval] * count
    return int(add_months(datetime.fromtimestamp(start, UTC), _MONTHS[interval] * count).timestamp())


def _replace_phases(call: Call, schedule: Document) -> None:
    if schedule["status"] == "not_started":
        schedule["phases"] = new_phases(call, schedule["phases"][0]["start_date"])
        return
    current = schedule["current_phase"]["start_date"]
    ended = [phase for phase in schedule["phases"] if phase["start_date"] < current]
    phases = new_phases(call, current)
    if phases[0]["start_date"] != current:
        raise invalid("The first phase must be the current one, with its start_date.", param="phases[0][start_date]")
    schedule["phases"] = ended + phases
    schedule["current_phase"] = {"start_date": current, "end_date": phases[0]["end_date"]}


def _adopt(call: Call) -> Document:
    session = call.session
    subscription = session.get("subscription", call.params["from_subscription"], param="from_subscription")
    if subscription["schedule"]:
        raise invalid("The subscription already has a schedule.", param="from_subscription")
    items = subscription["items"]["data"]
    entry = {
        "items": [
            {"price": item["price"]["id"]} | ({"quantity": item["quantity"]} if "quantity" in item else {})
            for item in items
        ],
        "end_date": items[0]["current_period_end"],
    }
    phase = _phase(session, entry, items[0]["current_period_start"], None)
    customer = session.get("customer", subscription["customer"])
    schedule = session.add(
        _blank(call, customer)
        | {
            "phases": [phase],
            "end_behavior": "release",
            "status": "active",
            "subscription": subscription["id"],
            "current_phase": {"start_date": phase["start_date"], "end_date": phase["end_date"]},
        }
    )
    subscription["schedule"] = schedule["id"]
    session.tell_changes(subscription)
    session.tell("subscription_schedule.created", schedule)
    return schedule


def _blank(call: Call, customer: Document) -> Document:
    return dict.fromkeys(
        (
            *("application", "canceled_at", "completed_at", "current_phase", "customer_account", "released_at"),
            *("released_subscription", "subscription", "_notice_at"),
        )
    ) | {
        "id": new_id("subscription_schedule"),
        "object": "subscription_schedule",
        "billing_mode": {"type": "classic", "flexible": None},
        "created": call.session.now,
        "customer": customer["id"],
        "default_settings": {
            "application_fee_percent": None,
            "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
            "billing_cycle_anchor": "automatic",
            "billing_thresholds": None,
            "collection_method": "charge_automatically",
            "default_payment_method": None,
            "description": None,
            "invoice_settings": {"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}},
            "on_behalf_of": None,
            "transfer_data": None,
        },
        "livemode": False,
        "metadata": check_metadata(call.params.get("metadata")),
        "pause_schedules": [],
        "status": "not_started",
        "test_clock": customer["test_clock"],
    }


def _set_defaults(schedule: Document, params: dict[str, Any]) -> None:
    merge(schedule, params, "default_settings")


def _end_behavior(params: dict[str, Any]) -> str:
    behavior = params.get("end_behavior", "release")
    if behavior not in {"release", "cancel"}:
        raise invalid("Invalid end_behavior: must be one of cancel or release", param="end_behavior")
    return str(behavior)


OPERATIONS = [
    route(
        "POST",
        "/v1/subscription_schedules",
        create,
        "customer default_settings end_behavior from_subscription metadata phases start_date",
    ),
    route(
        "GET",
        "/v1/subscription_schedules",
        listing("subscription_schedule", "/v1/subscription_schedules", "customer"),
        f"{PAGE} customer",
    ),
    route("GET", "/v1/subscription_schedules/{schedule}", retrieve("subscription_schedule")),
    route(
        "POST",
        "/v1/subscription_schedules/{schedule}",
        update,
        "default_settings end_behavior metadata phases proration_behavior",
    ),
    route("POST", "/v1/subscription_schedules/{schedule}/cancel", cancel_operation, "invoice_now prorate"),
    route("POST", "/v1/subscription_schedules/{schedule}/release", release_operation, "preserve_cancel_date"),
]
