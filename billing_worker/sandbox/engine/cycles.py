"""What time does to subscriptions and invoices."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.core.timeline import Duty
from billing_worker.sandbox.engine.collecting import collect
from billing_worker.sandbox.engine.cutting import charge_part, cut_end, natural_end
from billing_worker.sandbox.engine.discounts import drop_discounts, still_applying
from billing_worker.sandbox.engine.invoices import (
    DRAFT_SECONDS,
    close_unpaid,
    finalize,
    open_draft,
    set_lines,
    subscription_id_of,
)
from billing_worker.sandbox.engine.lines import item_lines
from billing_worker.sandbox.engine.pausing import pause, rule_without_method
from billing_worker.sandbox.engine.pending_updates import expire as expire_pending
from billing_worker.sandbox.engine.schedules import before_renewal
from billing_worker.sandbox.engine.standing import ENDED, after_settlement, end
from billing_worker.sandbox.engine.subscription_invoices import (
    fill,
    new_subscription_invoice,
    period_of,
    usage_lines,
)

_RENEWING = frozenset({"active", "trialing", "past_due", "unpaid"})


def subscription_due_at(subscription: Document) -> int | None:
    """Tell when a subscription needs something done."""
    instants = [subscription["_trial_notice_at"], subscription["_expires_at"], _pending_until(subscription)]
    if subscription["status"] in _RENEWING:
        instants += [subscription["cancel_at"], *_ends(subscription), _collects_again_at(subscription)]
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
    elif (waits := _pending_until(subscription)) is not None and waits <= due:
        expire_pending(session, subscription)
    elif (again := _collects_again_at(subscription)) is not None and again <= due:
        subscription["pause_collection"] = None
        session.tell_changes(subscription)
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


def _pending_until(subscription: Document) -> int | None:
    update = subscription["pending_update"]
    return None if update is None else int(update["expires_at"])


def _collects_again_at(subscription: Document) -> int | None:
    paused = subscription["pause_collection"] or {}
    found: int | None = paused.get("resumes_at")
    return found


def _expire(session: Session, subscription: Document) -> None:
    subscription |= {"status": "incomplete_expired", "ended_at": session.now, "_expires_at": None}
    session.tell_changes(subscription)
    invoice = session.find("invoice", subscription["latest_invoice"])
    if invoice is not None and invoice["status"] == "open":
        close_unpaid(session, invoice, "void")


def _finish(session: Session, subscription: Document) -> None:
    before_renewal(session, subscription)
    if subscription["status"] in ENDED:
        return
    has_usage = any("quantity" not in item for item in subscription["items"]["data"])
    if has_usage and subscription["status"] != "trialing":
        _bill(session, subscription, usage_lines(session, subscription, session.now))
    end(session, subscription, reason="cancellation_requested")


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
    lines: list[Document] = []
    for item in subscription["items"]["data"]:
        old = period_of(item)
        # A trial may end before a given anchor: the time up to there is a shorter period of its own.
        natural = natural_end(subscription, item, old[1])
        item |= {"current_period_start": old[1], "current_period_end": cut_end(subscription, old[1], natural)}
        is_metered = item["price"]["recurring"]["usage_type"] == "metered"
        if not is_metered:
            charged = item_lines(session, subscription, item, period_of(item))
            is_short = natural != item["current_period_end"] or subscription["billing_cycle_anchor"] > old[1]
            lines += charge_part(charged, item, natural) if is_short else charged
        elif not was_trialing:
            lines += item_lines(session, subscription, item, old)
    if was_trialing:
        subscription["status"] = "active"
    _bill(session, subscription, lines)


def _bill(session: Session, subscription: Document, lines: list[Document]) -> None:
    is_automatic = subscription["collection_method"] == "charge_automatically"
    _drop_discounts(session, subscription)
    paused = subscription["pause_collection"]
    is_held = subscription["status"] == "unpaid" or (paused and paused["behavior"] == "keep_as_draft")
    finalizes_at = None if is_held else session.now + DRAFT_SECONDS
    invoice = new_subscription_invoice(
        session,
        subscription,
        reason="subscription_cycle",
        auto_advance=not is_held,
        automatically_finalizes_at=finalizes_at,
        next_payment_attempt=finalizes_at if is_automatic else None,
        period_start=min(subscription["_billed_until"], session.now),
        period_end=session.now,
    )
    fill(session, subscription, invoice, lines)
    open_draft(session, invoice)
    subscription |= {"latest_invoice": invoice["id"], "_billed_until": session.now}
    session.tell_changes(subscription)


def _drop_discounts(session: Session, subscription: Document) -> None:
    for holder in (subscription, *subscription["items"]["data"]):
        kept = still_applying(session, holder["discounts"])
        drop_discounts(session, [discount_id for discount_id in holder["discounts"] if discount_id not in kept])
        holder["discounts"] = kept


def _refresh_usage(session: Session, subscription: Document, invoice: Document) -> None:
    # Usage reported while the invoice is a draft still belongs to its period.
    items = {item["id"]: item for item in subscription["items"]["data"]}
    lines: list[Document] = []
    anew: set[tuple[str, int, int]] = set()
    for entry in invoice["lines"]["data"]:
        details = (entry["parent"] or {}).get("subscription_item_details") or {}
        item = items.get(details.get("subscription_item", ""))
        if item is None or item["price"]["recurring"]["usage_type"] != "metered":
            lines.append(entry)
            continue
        period = (entry["period"]["start"], entry["period"]["end"])
        if (item["id"], *period) not in anew:
            anew.add((item["id"], *period))
            lines += item_lines(session, subscription, item, period)
    if anew:
        set_lines(session, invoice, lines)


DUTIES = {
    "subscription": Duty(subscription_due_at, advance_subscription),
    "invoice": Duty(invoice_due_at, advance_invoice),
}
"""Everything that the clock causes."""
