"""Subscription schedules."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, clone
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import check_metadata, listing, merge, merge_metadata, retrieve
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.routes import PAGE, Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.phases import new_phases, phase_of
from billing_worker.sandbox.engine.schedules import begin, cancel, check_running, end_of, enter_phase, release
from billing_worker.sandbox.engine.standing import ENDED
from billing_worker.sandbox.engine.subscription_terms import first_billing_mode


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
    phases = new_phases(session, params.get("phases"), start, params.get("iterations") or {})
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
    _tell_cancel_date(session, schedule)
    session.tell_changes(schedule)
    return schedule


def cancel_operation(call: Call) -> Document:
    """Cancel a schedule with its subscription."""
    schedule = call.session.get("subscription_schedule", call.id)
    check_running(schedule)
    cancel(
        call.session,
        schedule,
        invoices_now=bool(call.params.get("invoice_now", True)),
        prorates=bool(call.params.get("prorate", True)),
    )
    return schedule


def release_operation(call: Call) -> Document:
    """Release a schedule; its subscription runs on."""
    schedule = call.session.get("subscription_schedule", call.id)
    check_running(schedule)
    release(
        call.session,
        schedule,
        event="subscription_schedule.released",
        status="released",
        keeps_cancel_date=bool(call.params.get("preserve_cancel_date", False)),
    )
    return schedule


def _replace_phases(call: Call, schedule: Document) -> None:
    session, given, iterations = call.session, call.params["phases"], call.params.get("iterations") or {}
    if schedule["status"] == "not_started":
        schedule["phases"] = new_phases(session, given, schedule["phases"][0]["start_date"], iterations)
        return
    current = schedule["current_phase"]["start_date"]
    ended = [phase for phase in schedule["phases"] if phase["start_date"] < current]
    was = next(phase for phase in schedule["phases"] if phase["start_date"] == current)
    phases = new_phases(session, given, current, iterations)
    if phases[0]["start_date"] != current:
        raise invalid(
            "You must pass all current and future phases: the first one must begin when the current one did "
            f"({current}).",
            param="phases[0][start_date]",
        )
    schedule["phases"] = ended + phases
    schedule["current_phase"] = {"start_date": current, "end_date": phases[0]["end_date"]}
    if _billing(phases[0]) != _billing(was):
        subscription = session.get("subscription", schedule["subscription"])
        behavior = call.params.get("proration_behavior", "create_prorations")
        enter_phase(session, schedule, subscription, phases[0], behavior)


def _billing(phase: Document) -> Document:
    return {name: clone(value) for name, value in phase.items() if name not in {"end_date", "proration_behavior"}}


def _tell_cancel_date(session: Session, schedule: Document) -> None:
    subscription = session.find("subscription", schedule["subscription"])
    if subscription is not None:
        subscription["cancel_at"] = end_of(schedule)
        session.tell_changes(subscription)


def _adopt(call: Call) -> Document:
    session = call.session
    subscription = session.get("subscription", call.params["from_subscription"], param="from_subscription")
    if subscription["schedule"]:
        raise invalid("The subscription already has a schedule.", param="from_subscription")
    if subscription["status"] in ENDED:
        raise invalid(
            f"You cannot create a subscription schedule from a subscription that is {subscription['status']}.",
            param="from_subscription",
        )
    if extra := sorted(call.params.keys() - {"from_subscription", "metadata", "billing_mode", "expand"}):
        raise invalid(
            f"You cannot set `{extra[0]}` if `from_subscription` is set: update the schedule afterwards.",
            param=extra[0],
        )
    phase = phase_of(session, subscription)
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
        "billing_mode": first_billing_mode(call.params, call.session.now),
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
            "invoice_settings": {
                **dict.fromkeys(("account_tax_ids", "custom_fields", "days_until_due", "description", "footer")),
                "issuer": {"type": "self"},
            },
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
    if nested := (params.get("default_settings") or {}).get("invoice_settings"):
        given = dict(params["default_settings"])
        given["invoice_settings"] = schedule["default_settings"]["invoice_settings"] | nested
        params = params | {"default_settings": given}
    merge(schedule, params, "default_settings")


def _end_behavior(params: dict[str, Any]) -> str:
    behavior = params.get("end_behavior", "release")
    if behavior not in {"release", "cancel"}:
        raise invalid("Invalid end_behavior: must be one of cancel, none, release, or renew", param="end_behavior")
    return str(behavior)


OPERATIONS = [
    route(
        "POST",
        "/v1/subscription_schedules",
        create,
        "customer billing_mode default_settings end_behavior from_subscription metadata phases start_date",
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
