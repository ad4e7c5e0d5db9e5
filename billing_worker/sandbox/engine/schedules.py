"""Subscription schedules: phases that change a subscription when their time comes."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, clone
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.core.timeline import Duty
from billing_worker.sandbox.engine.changing import change_items, final_invoice, interval_of, invoice_now, prorate_end
from billing_worker.sandbox.engine.discounts import Redeemer, new_discounts
from billing_worker.sandbox.engine.invoices import DRAFT_SECONDS, finalize, open_draft
from billing_worker.sandbox.engine.items import add_extra_items
from billing_worker.sandbox.engine.phases import extra_params, item_params, subscription_params
from billing_worker.sandbox.engine.standing import ENDED, end
from billing_worker.sandbox.engine.subscribing import draft_subscription, first_invoice
from billing_worker.sandbox.engine.subscription_invoices import period_of
from billing_worker.sandbox.engine.subscription_terms import set_terms

_TERMS = frozenset({"collection_method", "days_until_due", "description"})
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
    given = subscription_params(schedule, phase) | {
        "items": [item_params(item) for item in phase["items"]],
        "metadata": dict(phase["metadata"]),
    }
    if phase["trial_end"] is not None and phase["trial_end"] > session.now:
        given["trial_end"] = phase["trial_end"]
    if phase["start_date"] < session.now:
        given["backdate_start_date"] = phase["start_date"]
    subscription = draft_subscription(session, customer, given)
    add_extra_items(session, subscription, extra_params(phase))
    invoice = first_invoice(session, subscription, prorates=phase["proration_behavior"] != "none")
    has_invoice = bool(invoice["lines"]["data"])
    subscription |= {"schedule": schedule["id"], "latest_invoice": invoice["id"] if has_invoice else None}
    subscription["cancel_at"] = end_of(schedule)
    session.add(subscription, "customer.subscription.created")
    if has_invoice:
        _open_later(session, invoice)
    schedule |= {"status": "active", "subscription": subscription["id"]}
    _enter(schedule, phase)


def end_of(schedule: Document) -> int | None:
    """Tell when a schedule cancels its subscription, which the subscription shows as its `cancel_at`."""
    if schedule["end_behavior"] != "cancel":
        return None
    ends: int = schedule["phases"][-1]["end_date"]
    return ends


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


def release(session: Session, schedule: Document, *, event: str, status: str, keeps_cancel_date: bool = False) -> None:
    """Let go of the subscription, which runs on by itself."""
    transition = {"released": "released_at", "completed": "completed_at"}[status]
    schedule |= {"status": status, transition: session.now, "current_phase": None, "_notice_at": None}
    subscription = session.find("subscription", schedule["subscription"])
    if subscription is not None:
        subscription["schedule"] = None
        if not keeps_cancel_date:
            subscription["cancel_at"] = None
        session.tell_changes(subscription)
    if status == "released":
        schedule |= {"released_subscription": schedule["subscription"], "subscription": None}
    session.tell(event, schedule)


def cancel(session: Session, schedule: Document, *, invoices_now: bool, prorates: bool = False) -> None:
    """Cancel a schedule and its subscription; one that never began is told as aborted too."""
    was_running = schedule["status"] == "active"
    schedule |= {"status": "canceled", "canceled_at": session.now, "current_phase": None, "_notice_at": None}
    subscription = session.find("subscription", schedule["subscription"])
    if was_running and subscription is not None and subscription["status"] not in ENDED:
        is_billed = subscription["status"] != "trialing"
        if prorates and is_billed:
            prorate_end(session, subscription)
        if invoices_now and is_billed:
            final_invoice(session, subscription)
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
        enter_phase(session, schedule, subscription, following)
        session.tell_changes(schedule)
    elif schedule["end_behavior"] == "cancel":
        schedule |= {"status": "completed", "completed_at": session.now, "current_phase": None, "_notice_at": None}
        final_invoice(session, subscription)
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


def enter_phase(
    session: Session, schedule: Document, subscription: Document, phase: Document, behavior: str | None = None
) -> None:
    """Make a subscription what a phase says; `behavior` is how prorations are handled, else the phase's own way."""
    before = clone(subscription)
    given = subscription_params(schedule, phase)
    assign(subscription, given, "default_payment_method")
    set_terms(session, subscription, {name: given[name] for name in given.keys() & _TERMS})
    subscription["default_tax_rates"] = list(phase["default_tax_rates"] or [])
    subscription["cancel_at"] = end_of(schedule)
    subscription["metadata"] = _merged(subscription["metadata"], phase["metadata"])
    redeemer = Redeemer(subscription["customer"], subscription=subscription["id"], currency=subscription["currency"])
    subscription["discounts"] = new_discounts(session, given["discounts"], redeemer)
    # At a period's end the renewal that follows bills the new prices for a whole period: there is nothing to prorate.
    at_boundary = all(item["current_period_end"] <= session.now for item in subscription["items"]["data"])
    changes: dict[str, Any] = {
        "items": _changes(subscription["items"]["data"], phase["items"]),
        "proration_behavior": "none" if at_boundary else behavior or phase["proration_behavior"],
        "add_invoice_items": [] if behavior else extra_params(phase),
    }
    if phase["trial_end"] is not None and phase["trial_end"] > session.now:
        changes["trial_end"] = phase["trial_end"]
    if phase["billing_cycle_anchor"] == "phase_start" and not behavior:
        changes["billing_cycle_anchor"] = "now"
    if at_boundary:
        _replace(session, subscription, changes, before)
        _sort(subscription, phase)
        session.tell_changes(subscription)
        return
    is_due, is_whole = change_items(session, subscription, changes, before)
    _sort(subscription, phase)
    session.tell_changes(subscription)
    if is_due:
        invoice_now(session, subscription, {}, whole_period=is_whole)


def _replace(session: Session, subscription: Document, changes: dict[str, Any], before: Document) -> None:
    # The anchor of another interval is the boundary itself; the renewal then counts from it.
    changes.pop("billing_cycle_anchor", None)
    periods = {item["id"]: period_of(item) for item in subscription["items"]["data"]}
    until, anchor = subscription["_billed_until"], subscription["billing_cycle_anchor"]
    _, resets = change_items(session, subscription, changes, before)
    if resets or interval_of(before) != interval_of(subscription):
        template = next(iter(periods.values()))
        for item in subscription["items"]["data"]:
            start, end = periods.get(item["id"], template)
            item |= {"current_period_start": start, "current_period_end": end}
        subscription |= {"_billed_until": until, "billing_cycle_anchor": session.now}
    elif subscription["status"] != "trialing":
        subscription["billing_cycle_anchor"] = anchor


def _sort(subscription: Document, phase: Document) -> None:
    places = {item["price"]: index for index, item in enumerate(phase["items"])}
    subscription["items"]["data"].sort(key=lambda item: places[item["price"]["id"]])


def _merged(metadata: Document, given: Document) -> Document:
    return {key: value for key, value in {**metadata, **given}.items() if value != ""}


def _changes(held: list[Document], wanted: list[Document]) -> list[Document]:
    # Items go with their prices, else by their place: what stays keeps its id.
    free = list(held)
    known: dict[int, Document] = {}
    for index, given in enumerate(wanted):
        same = next((item for item in free if item["price"]["id"] == given["price"]), None)
        if same is not None:
            known[index] = same
            free.remove(same)
    changes: list[Document] = []
    for index, given in enumerate(wanted):
        item = known.get(index) or (free.pop(0) if free else None)
        changes.append(({"id": item["id"]} if item else {}) | item_params(given))
    return changes + [{"id": item["id"], "deleted": True} for item in free]


def _open_later(session: Session, invoice: Document) -> None:
    open_draft(session, invoice)
    if invoice["amount_due"] == 0:
        finalize(session, invoice)
        return
    finalizes_at = session.now + DRAFT_SECONDS
    invoice["automatically_finalizes_at"] = finalizes_at
    invoice["next_payment_attempt"] = finalizes_at if invoice["collection_method"] == "charge_automatically" else None


def check_running(schedule: Document) -> None:
    """Refuse changes of a schedule that is over.

    Raises: ApiError 400.
    """
    if schedule["status"] not in RUNNING:
        raise invalid(
            f"You cannot update a subscription schedule that is currently in the `{schedule['status']}` status. You "
            "can only update subscription schedules that are in the `not_started` or `active` status.",
        )
