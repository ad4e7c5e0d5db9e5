"""How a subscription begins: its trial, its anchor, its first invoice."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, counted_list
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.families import check_metadata
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.amounts import part_of
from billing_worker.sandbox.engine.anchors import anchor_from
from billing_worker.sandbox.engine.blanks import BLANK_SUBSCRIPTION, fresh
from billing_worker.sandbox.engine.charging import check_owner
from billing_worker.sandbox.engine.collecting import collect, method_for, missing_method
from billing_worker.sandbox.engine.cutting import charge_part, cut_end, natural_end
from billing_worker.sandbox.engine.discounts import Redeemer, new_discounts
from billing_worker.sandbox.engine.invoices import DRAFT_SECONDS, finalize, open_draft
from billing_worker.sandbox.engine.items import add_extra_items, check_items, item_amount, new_item, show_items
from billing_worker.sandbox.engine.lines import item_lines, trial_line
from billing_worker.sandbox.engine.prices import period_end
from billing_worker.sandbox.engine.setups import new_setup_intent
from billing_worker.sandbox.engine.subscription_invoices import fill, new_subscription_invoice, period_of
from billing_worker.sandbox.engine.subscription_terms import (
    check_cancel_at,
    first_billing_mode,
    notice_at,
    set_terms,
    trial_end_of,
)
from billing_worker.sandbox.engine.taxes import named_rates

INCOMPLETE_SECONDS = 23 * 3600
_SUBSCRIPTIONS_UNDER_A_CLOCK = 3
"""Source: Stripe documentation, “Test clocks”, limits."""
_BEHAVIORS = ("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete")


def subscribe(session: Session, customer: Document, params: dict[str, Any]) -> tuple[Document, ApiError | None]:
    """Begin a subscription; the second part of the answer is a refusal of its first payment."""
    behavior = check_behavior(params)
    if behavior == "pending_if_incomplete":
        raise invalid(
            "`payment_behavior=pending_if_incomplete` can only be used when updating a subscription.",
            param="payment_behavior",
        )
    subscription = draft_subscription(session, customer, params)
    is_automatic = subscription["collection_method"] == "charge_automatically"
    add_extra_items(session, subscription, params.get("add_invoice_items"))
    invoice = first_invoice(session, subscription, prorates=params.get("proration_behavior") != "none")
    asks_for_money = invoice["amount_due"] > 0
    # The subscription is not stored yet, so that its own method has to be looked at apart.
    is_payable = subscription["default_payment_method"] is not None or method_for(session, invoice) is not None
    if asks_for_money and is_automatic and behavior != "default_incomplete" and not is_payable:
        raise missing_method()
    if subscription["status"] != "trialing" and asks_for_money and is_automatic:
        subscription |= {"status": "incomplete", "_expires_at": session.now + INCOMPLETE_SECONDS}
    if behavior == "default_incomplete" and is_automatic and not asks_for_money and not is_payable:
        subscription["pending_setup_intent"] = new_setup_intent(session, customer["id"])["id"]
    has_invoice = bool(invoice["lines"]["data"])
    subscription["latest_invoice"] = invoice["id"] if has_invoice else None
    session.add(subscription, "customer.subscription.created")
    if has_invoice:
        open_draft(session, invoice)
    if (notice := subscription["_trial_notice_at"]) is not None and notice <= session.now:
        subscription["_trial_notice_at"] = None
        session.tell("customer.subscription.trial_will_end", subscription)
    if not has_invoice:
        return subscription, None
    if not is_automatic and asks_for_money:
        invoice["automatically_finalizes_at"] = session.now + DRAFT_SECONDS
        return subscription, None
    return subscription, _settle_first(session, invoice, behavior)


def first_invoice(session: Session, subscription: Document, *, prorates: bool) -> Document:
    """Build the first invoice of a subscription, not yet added."""
    invoice = new_subscription_invoice(
        session, subscription, reason="subscription_create", period_start=subscription["start_date"]
    )
    lines: list[Document] = []
    for item in subscription["items"]["data"]:
        lines += _backdated_lines(session, subscription, item) if prorates else []
        if subscription["status"] == "trialing":
            lines.append(trial_line(session, subscription, item, period_of(item)))
        elif item["price"]["recurring"]["usage_type"] != "metered":
            charged = item_lines(session, subscription, item, period_of(item))
            lines += _shortened(charged, subscription, item, prorates=prorates)
    return fill(session, subscription, invoice, lines)


def check_behavior(params: dict[str, Any]) -> str:
    """Read `payment_behavior`.

    Raises: ApiError for an unknown one.
    """
    behavior = str(params.get("payment_behavior", "allow_incomplete"))
    if behavior not in _BEHAVIORS:
        raise invalid(f"Invalid payment_behavior: must be one of {', '.join(_BEHAVIORS)}", param="payment_behavior")
    return behavior


def check_clock_has_room(session: Session, customer: Document) -> None:
    """Refuse more subscriptions than a customer of a test clock may have."""
    running = [
        subscription
        for subscription in session.peek("subscription", "customer", customer["id"])
        if subscription["ended_at"] is None
    ]
    if customer["test_clock"] and len(running) >= _SUBSCRIPTIONS_UNDER_A_CLOCK:
        raise invalid(
            f"A customer with a test clock can have at most {_SUBSCRIPTIONS_UNDER_A_CLOCK} subscriptions.",
            param="customer",
        )


def draft_subscription(session: Session, customer: Document, params: dict[str, Any]) -> Document:
    """Build a subscription from its parameters, not yet added."""
    subscription = _blank(session, customer, params)
    if not params.get("items"):
        raise invalid("Missing required param: items.", param="items", code="parameter_missing")
    now = session.now
    items = [
        new_item(session, subscription, given, (now, now), f"items[{index}]")
        for index, given in enumerate(params["items"])
    ]
    check_items(items)
    trial_end = trial_end_of(session, params, items)
    check_cancel_at(params.get("cancel_at"), now)
    anchor = anchor_from(params, now, trial_end)
    first_end = trial_end or (anchor if anchor > now else period_end(items[0]["price"], anchor, now))
    for item in items:
        item["current_period_end"] = first_end
    subscription |= {
        "billing_cycle_anchor": anchor,
        "currency": _currency(session, customer, items, params),
        "items": counted_list(items, f"/v1/subscription_items?subscription={subscription['id']}"),
        "status": "trialing" if trial_end else "active",
        "trial_end": trial_end,
        "trial_start": now if trial_end else None,
        "_trial_notice_at": notice_at(trial_end),
    }
    show_items(subscription)
    set_terms(session, subscription, params)
    for item in items if trial_end is None else ():
        item["current_period_end"] = cut_end(subscription, now, first_end)
    subscription["discounts"] = _discounts(session, subscription, params)
    return subscription


def _settle_first(session: Session, invoice: Document, behavior: str) -> ApiError | None:
    finalize(session, invoice)
    if invoice["status"] == "paid" or behavior == "default_incomplete":
        return None
    refusal = collect(session, invoice, is_automatic=True)
    if refusal is not None and behavior == "error_if_incomplete":
        refusal.keeps_changes = False
        raise refusal
    return refusal


def _blank(session: Session, customer: Document, params: dict[str, Any]) -> Document:
    start = params.get("backdate_start_date", session.now)
    if start > session.now:
        raise invalid("`backdate_start_date` must be in the past.", param="backdate_start_date")
    method_id = params.get("default_payment_method")
    if method_id:
        check_owner(session.get("payment_method", method_id, param="default_payment_method"), customer["id"])
    return fresh(BLANK_SUBSCRIPTION) | {
        "id": new_id("subscription"),
        "object": "subscription",
        "billing_mode": first_billing_mode(params, session.now),
        "created": session.now,
        "customer": customer["id"],
        "billing_cycle_anchor_config": _anchor_config(params),
        "default_payment_method": method_id or None,
        "default_tax_rates": named_rates(session, params.get("default_tax_rates")),
        "metadata": check_metadata(params.get("metadata")),
        "start_date": start,
        "_billed_until": session.now,
    }


def _anchor_config(params: dict[str, Any]) -> Document | None:
    given = params.get("billing_cycle_anchor_config")
    return None if given is None else dict.fromkeys(("hour", "minute", "month", "second")) | given


def _currency(session: Session, customer: Document, items: list[Document], params: dict[str, Any]) -> str:
    currency: str = items[0]["price"]["currency"]
    wanted = params.get("currency", currency).lower()
    if wanted != currency:
        raise invalid(
            f"The price specified only supports `{currency}`. This doesn't match the expected currency: `{wanted}`.",
            param="items[0][price]",
        )
    running = session.peek("subscription", "customer", customer["id"])
    held = {subscription["currency"] for subscription in running if subscription["ended_at"] is None} - {currency}
    if held:
        raise invalid(
            "You cannot combine currencies on a single customer. This customer has an active subscription, "
            f"subscription schedule, discount, quote, or invoice item with currency {held.pop()}",
            param="customer",
        )
    return currency


def _discounts(session: Session, subscription: Document, params: dict[str, Any]) -> list[str]:
    items = subscription["items"]["data"]
    redeemer = Redeemer(
        subscription["customer"],
        subscription=subscription["id"],
        currency=subscription["currency"],
        subtotal_minor=sum(item_amount(session, item) for item in items),
    )
    return new_discounts(session, params.get("discounts"), redeemer)


def _shortened(lines: list[Document], subscription: Document, item: Document, *, prorates: bool) -> list[Document]:
    # A first period that ends at a given anchor, or with the subscription, is charged for the seconds it has.
    start, end = period_of(item)
    is_anchored = subscription["billing_cycle_anchor"] > start
    if is_anchored and not prorates:
        return [entry | {"amount": 0, "subtotal": 0} for entry in lines]
    natural = natural_end(subscription, item, start)
    is_cut = prorates and end < natural
    return charge_part(lines, item, natural) if is_anchored or is_cut else lines


def _backdated_lines(session: Session, subscription: Document, item: Document) -> list[Document]:
    # One line for each natural period that began before now. Source: Stripe documentation, “Backdate subscriptions”.
    start, now, lines = subscription["start_date"], subscription["created"], list[Document]()
    if item["price"]["recurring"]["usage_type"] == "metered":
        return lines
    begin = start
    while begin < now:
        end = period_end(item["price"], start, begin)
        part = min(end, now)
        for entry in item_lines(session, subscription, item, (begin, part)):
            amount = part_of(entry["amount"], part - begin, end - begin)
            lines.append(entry | {"amount": amount, "subtotal": amount})
        begin = end
    return lines
