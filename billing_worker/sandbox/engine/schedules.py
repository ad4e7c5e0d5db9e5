"""Subscription schedules: phases that change a subscription when their time comes."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.core.timeline import Duty
from billing_worker.sandbox.engine.changing import change_items, invoice_now
from billing_worker.sandbox.engine.invoices import DRAFT_SECONDS, finalize, open_draft
from billing_worker.sandbox.engine.prices import plan_of
from billing_worker.sandbox.engine.standing import ENDED, end
from billing_worker.sandbox.engine.subscribing import draft_subscription, first_invoice

_NOTICE_SECONDS = 10 * 86_400
"""How long ahead `subscription_schedule.expiring` is told.

Source: the Stripe CLI's own trigger, which waits for the event nine days ahead; the reference says seven.
"""
RUNNING = frozenset({"not_started", "active"})


def begin(session: Session, schedule: Document) -> None:
    """Start the first phase: the subscription comes into being, its invoice stays a draft for an hour.

    Source: Stripe documentation, “Subscription schedules”, invoices of phases.
    """
    phase = schedule["phases"][0]
    customer = session.get("customer", schedule["customer"])
    subscription = draft_subscription(session, customer, _subscription_params(schedule, phase))
    invoice = first_invoice(session, subscription, prorates=True)
    subscription |= {"schedule": schedule["id"], "latest_invoice": invoice["id"]}
    session.add(subscription, "customer.subscription.created")
    open_draft(session, invoice)
    if invoice["amount_due"] > 0:
        finalizes_at = session.now + DRAFT_SECONDS
        is_automatic = invoice["collection_method"] == "charge_automatically"
        invoice["automatically_finalizes_at"] = finalizes_at
        invoice["next_payment_attempt"] = finalizes_at if is_automatic else None
    else:
        finalize(session, invoice)
    schedule |= {"status": "active", "subscription": subscription["id"]}
    _enter(schedule, phase)


def schedule_due_at(schedule: Document) -> int | None:
    """Tell when a schedule needs something done."""
    if schedule["status"] == "not_started":
        return int(schedule["phases"][0]["start_date"])
    if schedule["status"] != "active":
        return None
    instants = [schedule["current_phase"]["end_date"], schedule["_notice_at"]]
    return min((instant for instant in instants if instant is not None), default=None)


def advance_schedule(session: Session, schedule: Document) -> None:
    """Do the first thing that is due."""
    if schedule["status"] == "not_started":
        if _can_enter(session, schedule["phases"][0]):
            begin(session, schedule)
        else:
            _abort(session, schedule)
        session.tell_changes(schedule)
        return
    notice = schedule["_notice_at"]
    if notice is not None and notice <= session.now:
        schedule["_notice_at"] = None
        session.tell("subscription_schedule.expiring", schedule)
        return
    _next_phase(session, schedule)


def before_renewal(session: Session, subscription: Document) -> None:
    """Change phases that end with the period first, so that the renewal already bills the new one."""
    schedule = session.find("subscription_schedule", subscription["schedule"])
    if schedule is None or schedule["status"] != "active":
        return
    ends = schedule["current_phase"]["end_date"]
    if ends is not None and ends <= session.now:
        _next_phase(session, schedule)


def release(session: Session, schedule: Document, *, event: str, status: str) -> None:
    """Let go of the subscription, which runs on by itself."""
    transition = {"released": "released_at", "completed": "completed_at"}[status]
    schedule |= {"status": status, transition: session.now, "current_phase": None, "_notice_at": None}
    subscription = session.find("subscription", schedule["subscription"])
    if subscription is not None:
        subscription["schedule"] = None
        session.tell_changes(subscription)
    if status == "released":
        schedule |= {"released_subscription": schedule["subscription"], "subscription": None}
    session.tell(event, schedule)


def cancel(session: Session, schedule: Document, *, invoices_now: bool) -> None:
    """Cancel a schedule and its subscription; one that never began is told as aborted too."""
    was_running = schedule["status"] == "active"
    schedule |= {"status": "canceled", "canceled_at": session.now, "current_phase": None, "_notice_at": None}
    subscription = session.find("subscription", schedule["subscription"])
    if was_running and subscription is not None and subscription["status"] not in ENDED:
        if invoices_now:
            invoice_now(session, subscription, {}, whole_period=False)
        end(session, subscription, reason="cancellation_requested")
    if not was_running:
        session.tell("subscription_schedule.aborted", schedule)
    session.tell("subscription_schedule.canceled", schedule)


SCHEDULE_DUTIES = {"subscription_schedule": Duty(schedule_due_at, advance_schedule)}


def _next_phase(session: Session, schedule: Document) -> None:
    ended = schedule["current_phase"]["end_date"]
    following = next((phase for phase in schedule["phases"] if phase["start_date"] >= ended), None)
    subscription = session.get("subscription", schedule["subscription"])
    if subscription["status"] in ENDED:
        cancel(session, schedule, invoices_now=False)
    elif following is not None and not _can_enter(session, following):
        subscription["schedule"] = None
        _abort(session, schedule)
    elif following is not None:
        _enter(schedule, following)
        _change(session, subscription, following)
        session.tell_changes(schedule)
    elif schedule["end_behavior"] == "cancel":
        schedule |= {"status": "completed", "completed_at": session.now, "current_phase": None, "_notice_at": None}
        end(session, subscription, reason="cancellation_requested")
        session.tell("subscription_schedule.completed", schedule)
    else:
        release(session, schedule, event="subscription_schedule.completed", status="completed")


def _can_enter(session: Session, phase: Document) -> bool:
    # Nobody can be told an error when time itself changes a phase, so what would be one ends the schedule.
    prices = [session.find("price", item["price"]) for item in phase["items"]]
    return all(price is not None and price["active"] for price in prices)


def _abort(session: Session, schedule: Document) -> None:
    schedule |= {"status": "canceled", "canceled_at": session.now, "current_phase": None, "_notice_at": None}
    session.tell("subscription_schedule.aborted", schedule)


def _enter(schedule: Document, phase: Document) -> None:
    schedule["current_phase"] = {"start_date": phase["start_date"], "end_date": phase["end_date"]}
    is_last = phase is schedule["phases"][-1] or phase["start_date"] == schedule["phases"][-1]["start_date"]
    ends = phase["end_date"]
    schedule["_notice_at"] = None
    if is_last and ends is not None:
        # Not in the instant of the phase's own start, which is being done just now.
        schedule["_notice_at"] = max(ends - _NOTICE_SECONDS, phase["start_date"] + 1)


def _change(session: Session, subscription: Document, phase: Document) -> None:
    at_boundary = all(item["current_period_end"] <= session.now for item in subscription["items"]["data"])
    if at_boundary:
        # The renewal that follows bills the new prices for a whole period: there is nothing to prorate.
        _replace(session, subscription, phase)
        session.tell_changes(subscription)
        return
    changes = _changes(subscription["items"]["data"], phase["items"])
    given = {"items": changes, "proration_behavior": phase["proration_behavior"]}
    is_due, is_whole = change_items(session, subscription, given)
    session.tell_changes(subscription)
    if is_due:
        invoice_now(session, subscription, {}, whole_period=is_whole)


def _replace(session: Session, subscription: Document, phase: Document) -> None:
    for item, wanted in zip(subscription["items"]["data"], phase["items"], strict=False):
        price = session.get("price", wanted["price"])
        item |= {"price": public(price), "plan": plan_of(price)}
        item.pop("quantity", None)
        item |= {name: value for name, value in _item(wanted).items() if name == "quantity"}
    extra = _changes(subscription["items"]["data"], phase["items"])
    change_items(session, subscription, {"items": extra, "proration_behavior": "none"})


def _changes(held: list[Document], wanted: list[Document]) -> list[Document]:
    changes: list[Document] = []
    for index, given in enumerate(wanted):
        known = {"id": held[index]["id"]} if index < len(held) else {}
        changes.append(known | _item(given))
    return changes + [{"id": item["id"], "deleted": True} for item in held[len(wanted) :]]


def _item(given: Document) -> Document:
    # What is metered has no quantity of its own.
    quantity = {} if given["quantity"] is None else {"quantity": given["quantity"]}
    return {"price": given["price"]} | quantity


def _subscription_params(schedule: Document, phase: Document) -> dict[str, Any]:
    defaults = schedule["default_settings"]
    given: dict[str, Any] = {
        "items": [_item(item) for item in phase["items"]],
        "collection_method": phase["collection_method"] or defaults["collection_method"],
        "metadata": dict(phase["metadata"]),
    }
    method = phase["default_payment_method"] or defaults["default_payment_method"]
    if method:
        given["default_payment_method"] = method
    if phase["trial_end"] is not None:
        given["trial_end"] = phase["trial_end"]
    days = (phase["invoice_settings"] or {}).get("days_until_due") or defaults["invoice_settings"]["days_until_due"]
    if days is not None:
        given["days_until_due"] = days
    return given


def check_running(schedule: Document) -> None:
    """Refuse changes of a schedule that is over.

    Raises: ApiError 400.
    """
    if schedule["status"] not in RUNNING:
        raise invalid(
            f"You cannot change a subscription schedule that is {schedule['status']}: only not_started or active ones."
        )
