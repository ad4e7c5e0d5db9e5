"""How a subscription changes: its items, its trial, its end."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, clone, public
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.collecting import collect
from billing_worker.sandbox.engine.invoices import (
    attach_items,
    finalize,
    new_invoice,
    open_draft,
    set_lines,
    take_pending_items,
)
from billing_worker.sandbox.engine.lines import item_line
from billing_worker.sandbox.engine.parents import subscription_parent
from billing_worker.sandbox.engine.pausing import pause, rule_without_method
from billing_worker.sandbox.engine.prices import period_end, plan_of
from billing_worker.sandbox.engine.proration import check_proration_date, proration_items
from billing_worker.sandbox.engine.subscribing import check_items, find_price, new_item, notice_at, trial_end_of

_PRORATIONS = frozenset({"create_prorations", "always_invoice", "none"})


def change_items(session: Session, subscription: Document, params: dict[str, Any]) -> tuple[bool, bool]:
    """Apply item changes, a new trial end and a moved anchor.

    Shape: whether an invoice is due at once, and whether it is for a whole new period.
    """
    behavior = params.get("proration_behavior", "create_prorations")
    if behavior not in _PRORATIONS:
        raise invalid(
            f"Invalid proration_behavior: must be one of {', '.join(sorted(_PRORATIONS))}", param="proration_behavior"
        )
    before = clone(subscription["items"]["data"])
    _apply(session, subscription, params.get("items") or [])
    at = params.get("proration_date", session.now)
    if "proration_date" in params:
        check_proration_date(subscription, at, session.now)
    resets = (
        _interval(before) != _interval(subscription["items"]["data"]) or params.get("billing_cycle_anchor") == "now"
    )
    was_trialing = subscription["status"] == "trialing"
    if "trial_end" in params:
        resets = _change_trial(session, subscription, params) or resets
    prorations: list[Document] = []
    if behavior != "none" and not was_trialing:
        prorations = _prorations(session, subscription, before, at, resets=resets)
    for item in prorations:
        session.add(item, "invoiceitem.created")
    if resets:
        _reset_periods(session, subscription)
    return resets or (behavior == "always_invoice" and bool(prorations)), resets


def invoice_now(session: Session, subscription: Document, params: dict[str, Any], *, whole_period: bool) -> None:
    """Bill what has become due through a change, and try to collect it.

    Raises: ApiError of the refused payment when `error_if_incomplete` asks for that; nothing is kept then.
    """
    invoice = change_invoice(session, subscription, whole_period=whole_period)
    subscription["latest_invoice"] = invoice["id"]
    open_draft(session, invoice)
    finalize(session, invoice)
    behavior = params.get("payment_behavior", "allow_incomplete")
    if invoice["status"] == "paid" or behavior == "default_incomplete":
        return
    if invoice["collection_method"] == "send_invoice":
        session.tell("invoice.sent", invoice)
        return
    refusal: ApiError | None = collect(session, invoice, is_automatic=True)
    if refusal is not None and behavior == "error_if_incomplete":
        refusal.keeps_changes = False
        raise refusal


def change_invoice(session: Session, subscription: Document, *, whole_period: bool) -> Document:
    """Build the invoice of a change from the pending items and, after a reset, the new period; not yet added."""
    customer = session.get("customer", subscription["customer"])
    invoice = new_invoice(
        session,
        customer,
        currency=subscription["currency"],
        reason="subscription_update",
        parent=subscription_parent(subscription),
        collection_method=subscription["collection_method"],
        default_tax_rates=list(subscription["default_tax_rates"]),
        discounts=list(subscription["discounts"]),
        _days_until_due=subscription["days_until_due"],
    )
    pending = take_pending_items(session, customer["id"], invoice["currency"], subscription["id"])
    lines = attach_items(invoice, pending)
    if whole_period:
        lines += [
            item_line(session, subscription, item, (item["current_period_start"], item["current_period_end"]))
            for item in subscription["items"]["data"]
            if item["price"]["recurring"]["usage_type"] != "metered"
        ]
    set_lines(session, invoice, lines)
    return invoice


def resume(session: Session, subscription: Document) -> None:
    """Take up a paused subscription with a whole new period, once that is paid."""
    subscription["status"] = "active"
    _reset_periods(session, subscription)
    invoice_now(session, subscription, {"payment_behavior": "error_if_incomplete"}, whole_period=True)
    session.tell("customer.subscription.resumed", subscription)


def prorate_end(session: Session, subscription: Document) -> None:
    """Give back the unused time of a subscription that ends now."""
    for item in subscription["items"]["data"]:
        for proration in proration_items(session, subscription, item, None, session.now):
            session.add(proration, "invoiceitem.created")


def _apply(session: Session, subscription: Document, changes: list[dict[str, Any]]) -> None:
    items: list[Document] = subscription["items"]["data"]
    template = items[0]
    for change in changes:
        if "id" not in change:
            period = (template["current_period_start"], template["current_period_end"])
            items.append(new_item(session, subscription["id"], change, period))
            continue
        item = next((item for item in items if item["id"] == change["id"]), None)
        if item is None:
            raise invalid(f"No such subscription item: '{change['id']}'", param="items[0][id]", code="resource_missing")
        if change.get("deleted"):
            items.remove(item)
            continue
        if "price" in change or "price_data" in change:
            price = find_price(session, change)
            item |= {"price": public(price), "plan": plan_of(price)}
        if "quantity" in change:
            item["quantity"] = change["quantity"]
        if "metadata" in change:
            item["metadata"] = {**item["metadata"], **(change["metadata"] or {})}
    if not items:
        raise invalid("A subscription must have at least one active plan.", param="items")
    check_items(items)


def _interval(items: list[Document]) -> tuple[str, int]:
    recurring = items[0]["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _prorations(
    session: Session, subscription: Document, before: list[Document], at: int, *, resets: bool
) -> list[Document]:
    old_by_id = {item["id"]: item for item in before}
    new_by_id = {item["id"]: item for item in subscription["items"]["data"]}
    prorations = []
    for item_id in [*old_by_id, *(key for key in new_by_id if key not in old_by_id)]:
        old, new = old_by_id.get(item_id), new_by_id.get(item_id)
        if resets:
            # A whole new period is charged anyway, so only the unused time comes back.
            prorations += proration_items(session, subscription, old, None, at)
        elif old is None or new is None or _costs(old) != _costs(new):
            prorations += proration_items(session, subscription, old, new, at)
    return prorations


def _costs(item: Document) -> tuple[str, int | None]:
    return item["price"]["id"], item.get("quantity")


def _change_trial(session: Session, subscription: Document, params: dict[str, Any]) -> bool:
    was_trialing = subscription["status"] == "trialing"
    trial_end = trial_end_of(session, params)
    if trial_end is None:
        if not was_trialing:
            return False
        if rule_without_method(session, subscription) == "pause":
            pause(session, subscription)
            return False
        subscription |= {"trial_end": session.now, "status": "active", "_trial_notice_at": None}
        return True
    subscription |= {
        "trial_end": trial_end,
        "trial_start": subscription["trial_start"] or session.now,
        "status": "trialing",
        "billing_cycle_anchor": trial_end,
        "_trial_notice_at": notice_at(trial_end),
    }
    for item in subscription["items"]["data"]:
        item["current_period_end"] = trial_end
        if not was_trialing:
            item["current_period_start"] = session.now
    return False


def _reset_periods(session: Session, subscription: Document) -> None:
    subscription |= {"billing_cycle_anchor": session.now, "_billed_until": session.now}
    for item in subscription["items"]["data"]:
        end = period_end(item["price"], session.now, session.now)
        item |= {"current_period_start": session.now, "current_period_end": end}
