"""What time does to subscriptions and invoices."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.core.timeline import Duty
from billing_worker.sandbox.engine.collecting import collect
from billing_worker.sandbox.engine.discounts import carried_over
from billing_worker.sandbox.engine.invoices import (
    DRAFT_SECONDS,
    attach_items,
    close_unpaid,
    finalize,
    new_invoice,
    open_draft,
    set_lines,
    subscription_id_of,
    take_pending_items,
)
from billing_worker.sandbox.engine.lines import item_line
from billing_worker.sandbox.engine.parents import subscription_parent
from billing_worker.sandbox.engine.pausing import pause, rule_without_method
from billing_worker.sandbox.engine.prices import period_end
from billing_worker.sandbox.engine.schedules import before_renewal
from billing_worker.sandbox.engine.standing import ENDED, after_settlement, end

_RENEWING = frozenset({"active", "trialing", "past_due", "unpaid"})


def subscription_due_at(subscription: Document) -> int | None:
    """Tell when a subscription needs something done."""
    instants = [subscription["_trial_notice_at"], subscription["_expires_at"]]
    if subscription["status"] in _RENEWING:
        instants += [subscription["cancel_at"], *_ends(subscription)]
    elif subscription["status"] == "incomplete":
        instants = [subscription["_expires_at"]]
    else:
        return None
    return min((instant for instant in instants if instant is not None), default=None)


def advance_subscription(session: Session, subscription: Document) -> None:
    """Do the first thing that is due."""
    due = session.now
    if subscription["status"] == "incomplete":
        _expire(session, subscription)
    elif (notice := subscription["_trial_notice_at"]) is not None and notice <= due:
        subscription["_trial_notice_at"] = None
        session.tell("customer.subscription.trial_will_end", subscription)
    elif (cancel_at := subscription["cancel_at"]) is not None and cancel_at <= due:
        _finish(session, subscription)
    else:
        _renew(session, subscription)


def invoice_due_at(invoice: Document) -> int | None:
    """Tell when an invoice is to be finalised or collected."""
    due: int | None = None
    if invoice["status"] == "draft" and invoice["auto_advance"]:
        due = invoice["automatically_finalizes_at"]
    elif invoice["status"] == "open":
        due = invoice["next_payment_attempt"]
    return due


def advance_invoice(session: Session, invoice: Document) -> None:
    """Finalise a draft and try to collect it, or try again."""
    if invoice["status"] == "open":
        collect(session, invoice, is_automatic=True)
        return
    subscription = session.find("subscription", subscription_id_of(invoice))
    invoice["next_payment_attempt"] = None
    if subscription is not None:
        _refresh_usage(session, subscription, invoice)
    finalize(session, invoice)
    after_finalization(session, invoice, subscription)


def after_finalization(session: Session, invoice: Document, subscription: Document | None) -> None:
    """Collect or send an invoice that has just been opened by the schedule."""
    paused = subscription["pause_collection"] if subscription else None
    if invoice["status"] == "paid":
        after_settlement(session, invoice)
    elif paused:
        close_unpaid(session, invoice, {"void": "void"}.get(paused["behavior"], "uncollectible"))
        after_settlement(session, invoice)
    elif invoice["collection_method"] == "send_invoice":
        session.tell("invoice.sent", invoice)
    else:
        collect(session, invoice, is_automatic=True)


def _ends(subscription: Document) -> list[int]:
    return [item["current_period_end"] for item in subscription["items"]["data"]]


def _expire(session: Session, subscription: Document) -> None:
    subscription |= {"status": "incomplete_expired", "ended_at": session.now, "_expires_at": None}
    session.tell_changes(subscription)
    invoice = session.find("invoice", subscription["latest_invoice"])
    if invoice is not None and invoice["status"] == "open":
        close_unpaid(session, invoice, "void")


def _finish(session: Session, subscription: Document) -> None:
    items = subscription["items"]["data"]
    metered = [item for item in items if item["price"]["recurring"]["usage_type"] == "metered"]
    if metered and subscription["status"] != "trialing":
        _bill(session, subscription, [(item, _period(item, session.now)) for item in metered])
    end(session, subscription, reason="cancellation_requested")


def _period(item: Document, until: int) -> tuple[int, int]:
    return item["current_period_start"], min(item["current_period_end"], until)


def _renew(session: Session, subscription: Document) -> None:
    was_trialing = subscription["status"] == "trialing"
    before_renewal(session, subscription)
    if subscription["status"] in ENDED:
        return
    rule = rule_without_method(session, subscription) if was_trialing else None
    if rule == "cancel":
        end(session, subscription, reason="payment_failed")
        return
    if rule == "pause":
        pause(session, subscription)
        return
    billed: list[tuple[Document, tuple[int, int]]] = []
    for item in subscription["items"]["data"]:
        old = (item["current_period_start"], item["current_period_end"])
        new = (old[1], period_end(item["price"], subscription["billing_cycle_anchor"], old[1]))
        item |= {"current_period_start": new[0], "current_period_end": new[1]}
        is_metered = item["price"]["recurring"]["usage_type"] == "metered"
        if not (is_metered and was_trialing):
            billed.append((item, old if is_metered else new))
    if was_trialing:
        subscription["status"] = "active"
    _bill(session, subscription, billed)


def _bill(session: Session, subscription: Document, billed: list[tuple[Document, tuple[int, int]]]) -> None:
    customer = session.get("customer", subscription["customer"])
    is_automatic = subscription["collection_method"] == "charge_automatically"
    subscription["discounts"] = carried_over(session, subscription["discounts"])
    paused = subscription["pause_collection"]
    is_held = subscription["status"] == "unpaid" or (paused and paused["behavior"] == "keep_as_draft")
    finalizes_at = None if is_held else session.now + DRAFT_SECONDS
    invoice = new_invoice(
        session,
        customer,
        currency=subscription["currency"],
        reason="subscription_cycle",
        parent=subscription_parent(subscription),
        collection_method=subscription["collection_method"],
        auto_advance=not is_held,
        automatically_finalizes_at=finalizes_at,
        next_payment_attempt=finalizes_at if is_automatic else None,
        default_tax_rates=list(subscription["default_tax_rates"]),
        discounts=list(subscription["discounts"]),
        period_start=min(subscription["_billed_until"], session.now),
        period_end=session.now,
        _days_until_due=subscription["days_until_due"],
    )
    items = take_pending_items(session, customer["id"], invoice["currency"], subscription["id"])
    lines = [item_line(session, subscription, item, period) for item, period in billed]
    set_lines(session, invoice, attach_items(invoice, items) + lines)
    open_draft(session, invoice)
    subscription |= {"latest_invoice": invoice["id"], "_billed_until": session.now}
    session.tell_changes(subscription)


def _refresh_usage(session: Session, subscription: Document, invoice: Document) -> None:
    # Usage reported while the invoice is a draft still belongs to its period.
    items = {item["id"]: item for item in subscription["items"]["data"]}
    lines = []
    for entry in invoice["lines"]["data"]:
        details = (entry["parent"] or {}).get("subscription_item_details") or {}
        item = items.get(details.get("subscription_item", ""))
        if item is not None and item["price"]["recurring"]["usage_type"] == "metered":
            fresh = item_line(session, subscription, item, (entry["period"]["start"], entry["period"]["end"]))
            lines.append(fresh | {"id": entry["id"]})
        else:
            lines.append(entry)
    set_lines(session, invoice, lines)


DUTIES = {
    "subscription": Duty(subscription_due_at, advance_subscription),
    "invoice": Duty(invoice_due_at, advance_invoice),
}
"""Everything that the clock causes."""
