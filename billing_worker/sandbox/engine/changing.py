"""How a subscription changes: its items, its trial, its end."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, clone, public
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.anchors import moved_anchor
from billing_worker.sandbox.engine.collecting import collect
from billing_worker.sandbox.engine.cutting import cut_periods
from billing_worker.sandbox.engine.discounts import applies, still_applying
from billing_worker.sandbox.engine.invoices import finalize, open_draft
from billing_worker.sandbox.engine.items import (
    add_extra_items,
    check_items,
    find_price,
    item_amount,
    new_item,
    set_extras,
    set_quantity,
    show_items,
)
from billing_worker.sandbox.engine.pausing import pause, rule_without_method
from billing_worker.sandbox.engine.prices import one_period_before, period_end, plan_of
from billing_worker.sandbox.engine.proration import (
    check_proration_date,
    is_licensed,
    period_costs,
    remaining_time,
    unused_time,
)
from billing_worker.sandbox.engine.subscription_invoices import (
    fill,
    new_subscription_invoice,
    usage_lines,
    whole_period_lines,
)
from billing_worker.sandbox.engine.subscription_terms import is_flexible, notice_at, trial_end_of

_PRORATIONS = ("always_invoice", "create_prorations", "none")


def change_items(
    session: Session, subscription: Document, params: dict[str, Any], before: Document | None = None
) -> tuple[bool, bool]:
    """Apply item changes, a new trial end and a moved anchor.

    Shape: whether an invoice is due at once, and whether it is for a whole new period; `before` is the subscription
    as it was where other parts of the change were made already.
    """
    behavior = check_proration_behavior(params)
    before = clone(before or subscription)
    _apply(session, subscription, params.get("items") or [])
    at = params.get("proration_date", session.now)
    if "proration_date" in params:
        check_proration_date(subscription, at, session.now)
    resets = _resets(session, before, subscription, params)
    was_trialing = before["status"] == "trialing"
    if "trial_end" in params:
        resets = _change_trial(session, subscription, params) or resets
    begins_anew = not was_trialing and _begins_anew(session, before, subscription)
    if not resets and subscription["status"] != "trialing" and interval_of(before) != interval_of(subscription):
        _realign(subscription, session.now)
    prorations: list[Document] = []
    if behavior != "none" and not was_trialing:
        prorations = _prorations(session, before, subscription, at, resets=resets)
    for item in prorations:
        session.add(item, "invoiceitem.created")
    ends = subscription["cancel_at"] is not None or "cancel_at" in params
    if ends and not resets and subscription["status"] != "trialing":
        prorations += _cut(session, subscription, prorates=behavior != "none")
    add_extra_items(session, subscription, params.get("add_invoice_items"))
    if resets:
        _reset_periods(session, subscription)
    is_due = bool(prorations) and (behavior == "always_invoice" or begins_anew)
    return resets or is_due, resets


def check_proration_behavior(params: dict[str, Any]) -> str:
    """Read `proration_behavior`.

    Raises: ApiError for an unknown one.
    """
    behavior = str(params.get("proration_behavior", "create_prorations"))
    if behavior not in _PRORATIONS:
        raise invalid(
            f"Invalid proration_behavior: must be one of {', '.join(_PRORATIONS)}", param="proration_behavior"
        )
    return behavior


def invoice_now(session: Session, subscription: Document, params: dict[str, Any], *, whole_period: bool) -> None:
    """Bill what has become due through a change, and try to collect it.

    Raises: ApiError of the refused payment when `error_if_incomplete` asks for that; nothing is kept then.
    """
    invoice = change_invoice(session, subscription, whole_period=whole_period)
    if not invoice["lines"]["data"]:
        return
    settle_now(session, subscription, invoice, params)


def settle_now(session: Session, subscription: Document, invoice: Document, params: dict[str, Any]) -> ApiError | None:
    """Open a subscription's invoice at once, and try to collect it.

    Raises: ApiError of the refused payment when `error_if_incomplete` asks for that; nothing is kept then.
    """
    subscription["latest_invoice"] = invoice["id"]
    open_draft(session, invoice)
    finalize(session, invoice)
    behavior = params.get("payment_behavior", "allow_incomplete")
    if invoice["status"] == "paid" or behavior == "default_incomplete":
        return None
    if invoice["collection_method"] == "send_invoice":
        session.tell("invoice.sent", invoice)
        return None
    refusal: ApiError | None = collect(session, invoice, is_automatic=True)
    if refusal is not None and behavior == "error_if_incomplete":
        refusal.keeps_changes = False
        raise refusal
    return refusal


def change_invoice(session: Session, subscription: Document, *, whole_period: bool) -> Document:
    """Build the invoice of a change from the pending items and, after a reset, the new period; not yet added."""
    invoice = new_subscription_invoice(session, subscription, reason="subscription_update")
    return fill(session, subscription, invoice, whole_period_lines(session, subscription) if whole_period else [])


def resume(session: Session, subscription: Document, params: dict[str, Any]) -> None:
    """Take up a paused subscription: with a whole new period, or with what is left of the one it was in."""
    subscription |= {"status": "active", "status_details": None}
    if moved_anchor(params) != "unchanged":
        _reset_periods(session, subscription)
        given = {"payment_behavior": params.get("payment_behavior", "error_if_incomplete")}
        invoice_now(session, subscription, given, whole_period=True)
    else:
        _rejoin_periods(session, subscription, prorates=params.get("proration_behavior") != "none")
    session.tell("customer.subscription.resumed", subscription)


def final_invoice(session: Session, subscription: Document) -> None:
    """Bill at once what a subscription that ends now still owes: usage, and what waits for its next invoice."""
    invoice = new_subscription_invoice(session, subscription, reason="subscription_cycle")
    lines = [entry for entry in usage_lines(session, subscription, session.now) if entry["quantity"]]
    fill(session, subscription, invoice, lines)
    if invoice["lines"]["data"]:
        settle_now(session, subscription, invoice, {})


def prorate_end(session: Session, subscription: Document) -> None:
    """Give back the unused time of a subscription that ends now."""
    paid = period_costs(session, subscription["items"]["data"], _discounts(session, subscription, was=True))
    for item in subscription["items"]["data"]:
        if is_licensed(item):
            for credit in unused_time(session, subscription, item, session.now, paid[item["id"]]):
                session.add(credit, "invoiceitem.created")


def _apply(session: Session, subscription: Document, changes: list[dict[str, Any]]) -> None:
    items: list[Document] = subscription["items"]["data"]
    period = (items[0]["current_period_start"], items[0]["current_period_end"])
    for index, change in enumerate(changes):
        param = f"items[{index}]"
        if "id" not in change:
            items.append(new_item(session, subscription, change, period, param))
            continue
        item = next((item for item in items if item["id"] == change["id"]), None)
        if item is None:
            raise invalid(f"No such subscription_item: '{change['id']}'", param=f"{param}[id]", code="resource_missing")
        if change.get("deleted"):
            items.remove(item)
            continue
        if not change.keys().isdisjoint({"price", "price_data", "plan"}):
            price = find_price(session, change, param)
            item |= {"price": public(price), "plan": plan_of(price)}
        set_quantity(item, change, param)
        set_extras(session, subscription, item, change, param)
        if "metadata" in change:
            merged = {**item["metadata"], **(change["metadata"] or {})} if change["metadata"] != "" else {}
            item["metadata"] = {key: value for key, value in merged.items() if value != ""}
    if not items:
        raise invalid("A subscription must have at least one active plan.", param="items")
    check_items(items)
    show_items(subscription)
    if items[0]["price"]["currency"] != subscription["currency"]:
        raise invalid(
            f"The price specified only supports `{items[0]['price']['currency']}`. This doesn't match the expected "
            f"currency: `{subscription['currency']}`.",
            param="items",
        )


def _resets(session: Session, before: Document, after: Document, params: dict[str, Any]) -> bool:
    # Source: Stripe documentation, “Compare classic and flexible billing mode”, reset the billing cycle anchor.
    if moved_anchor(params) == "now":
        return True
    return not is_flexible(after) and _begins_anew(session, before, after)


def _begins_anew(session: Session, before: Document, after: Document) -> bool:
    # Source: Stripe documentation, “Change the price of existing subscriptions”: what is invoiced at once.
    if interval_of(before) != interval_of(after):
        return True
    was_free = all(is_licensed(item) and item_amount(session, item) == 0 for item in before["items"]["data"])
    return (
        was_free
        and before["status"] != "trialing"
        and any(item_amount(session, item) for item in after["items"]["data"])
    )


def _cut(session: Session, subscription: Document, *, prorates: bool) -> list[Document]:
    whole = period_costs(session, subscription["items"]["data"], _discounts(session, subscription, was=False))
    return cut_periods(session, subscription, whole, prorates=prorates)


def _realign(subscription: Document, at: int) -> None:
    # The anchor stays: the period is that of the new interval which holds the change.
    anchor = subscription["billing_cycle_anchor"]
    for item in subscription["items"]["data"]:
        end = period_end(item["price"], anchor, at)
        start = max(one_period_before(item["price"], end), anchor)
        item |= {"current_period_start": start, "current_period_end": end}


def interval_of(subscription: Document) -> tuple[str, int]:
    """Tell how long the periods of a subscription are."""
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _prorations(session: Session, before: Document, after: Document, at: int, *, resets: bool) -> list[Document]:
    old_by_id = {item["id"]: item for item in before["items"]["data"] if is_licensed(item)}
    new_by_id = {item["id"]: item for item in after["items"]["data"] if is_licensed(item)}
    paid = period_costs(session, before["items"]["data"], _discounts(session, before, was=True))
    due = period_costs(session, after["items"]["data"], _discounts(session, after, was=False))
    # A whole new period is charged anyway, and a trial costs nothing, so only the unused time comes back.
    is_charged = not resets and after["status"] != "trialing"
    prorations: list[Document] = []
    for item_id in [*old_by_id, *(key for key in new_by_id if key not in old_by_id)]:
        old, new = old_by_id.get(item_id), new_by_id.get(item_id)
        if is_charged and old is not None and new is not None and _costs(old) == _costs(new):
            continue
        if old is not None:
            prorations += unused_time(session, before, old, at, paid[item_id])
        if new is not None and is_charged:
            prorations.append(remaining_time(session, after, new, at, due[item_id]))
    return prorations


def _discounts(session: Session, subscription: Document, *, was: bool) -> list[Document]:
    # What was paid had the `once` discounts that are used by now; what is due has those that are not.
    own = [discount_id for item in subscription["items"]["data"] for discount_id in item["discounts"]]
    if not was:
        return [session.get("discount", found) for found in still_applying(session, [*subscription["discounts"], *own])]
    start = subscription["items"]["data"][0]["current_period_start"]
    held = [session.get("discount", discount_id) for discount_id in [*subscription["discounts"], *own]]
    return [
        discount
        for discount in held
        if applies(discount, start) or (discount["_coupon"]["duration"] == "once" and discount["_is_used"])
    ]


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


def _rejoin_periods(session: Session, subscription: Document, *, prorates: bool) -> None:
    due = period_costs(session, subscription["items"]["data"], _discounts(session, subscription, was=False))
    anchor = subscription["billing_cycle_anchor"]
    for item in subscription["items"]["data"]:
        start = item["current_period_start"]
        while (end := period_end(item["price"], anchor, start)) <= session.now:
            start = end
        item |= {"current_period_start": start, "current_period_end": end}
        if prorates and is_licensed(item):
            session.add(
                remaining_time(session, subscription, item, session.now, due[item["id"]]), "invoiceitem.created"
            )
