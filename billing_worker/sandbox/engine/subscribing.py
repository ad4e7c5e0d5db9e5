"""How a subscription begins: its items, its trial, its first invoice."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, list_of, public
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.blanks import BLANK_SUBSCRIPTION, fresh
from billing_worker.sandbox.engine.charging import check_owner
from billing_worker.sandbox.engine.collecting import collect, method_for, missing_method
from billing_worker.sandbox.engine.discounts import new_discounts
from billing_worker.sandbox.engine.invoices import (
    DRAFT_SECONDS,
    attach_items,
    finalize,
    new_invoice,
    open_draft,
    set_lines,
    take_pending_items,
)
from billing_worker.sandbox.engine.lines import item_line, trial_line
from billing_worker.sandbox.engine.parents import subscription_parent
from billing_worker.sandbox.engine.prices import one_period_before, period_end, plan_of, price_from_data
from billing_worker.sandbox.engine.taxes import named_rates

INCOMPLETE_SECONDS = 23 * 3600
NOTICE_SECONDS = 3 * 86_400
_DAY_SECONDS = 86_400
_SUBSCRIPTIONS_UNDER_A_CLOCK = 3
"""Source: Stripe documentation, “Test clocks”, limits."""
_BEHAVIORS = frozenset({"allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"})


def subscribe(session: Session, customer: Document, params: dict[str, Any]) -> tuple[Document, ApiError | None]:
    """Begin a subscription; the second part of the answer is a refusal of its first payment."""
    behavior = params.get("payment_behavior", "allow_incomplete")
    if behavior not in _BEHAVIORS:
        raise invalid(
            f"Invalid payment_behavior: must be one of {', '.join(sorted(_BEHAVIORS))}", param="payment_behavior"
        )
    subscription = draft_subscription(session, customer, params)
    is_automatic = subscription["collection_method"] == "charge_automatically"
    invoice = first_invoice(session, subscription, prorates=params.get("proration_behavior") != "none")
    asks_for_money = invoice["amount_due"] > 0
    # The subscription is not stored yet, so that its own method has to be looked at apart.
    is_payable = subscription["default_payment_method"] is not None or method_for(session, invoice) is not None
    if asks_for_money and is_automatic and behavior != "default_incomplete" and not is_payable:
        raise missing_method()
    if subscription["status"] != "trialing" and asks_for_money and is_automatic:
        subscription |= {"status": "incomplete", "_expires_at": session.now + INCOMPLETE_SECONDS}
    subscription["latest_invoice"] = invoice["id"]
    session.add(subscription, "customer.subscription.created")
    open_draft(session, invoice)
    if (notice := subscription["_trial_notice_at"]) is not None and notice <= session.now:
        subscription["_trial_notice_at"] = None
        session.tell("customer.subscription.trial_will_end", subscription)
    if not is_automatic and asks_for_money:
        invoice["automatically_finalizes_at"] = session.now + DRAFT_SECONDS
        return subscription, None
    finalize(session, invoice)
    if invoice["status"] == "paid" or behavior == "default_incomplete":
        return subscription, None
    refusal = collect(session, invoice, is_automatic=True)
    if refusal is not None and behavior == "error_if_incomplete":
        refusal.keeps_changes = False
        raise refusal
    return subscription, refusal


def first_invoice(session: Session, subscription: Document, *, prorates: bool) -> Document:
    """Build the first invoice of a subscription, not yet added."""
    customer = session.get("customer", subscription["customer"])
    invoice = new_invoice(
        session,
        customer,
        currency=subscription["currency"],
        reason="subscription_create",
        parent=subscription_parent(subscription),
        collection_method=subscription["collection_method"],
        default_tax_rates=list(subscription["default_tax_rates"]),
        discounts=list(subscription["discounts"]),
        _days_until_due=subscription["days_until_due"],
    )
    pending = take_pending_items(session, customer["id"], invoice["currency"], subscription["id"])
    lines = attach_items(invoice, pending)
    for item in subscription["items"]["data"]:
        period = (item["current_period_start"], item["current_period_end"])
        if subscription["status"] == "trialing":
            lines.append(trial_line(session, subscription, item, period))
        elif item["price"]["recurring"]["usage_type"] != "metered":
            entry = item_line(session, subscription, item, period)
            lines.append(_shortened(entry, subscription, item, prorates=prorates))
    set_lines(session, invoice, lines)
    return invoice


def new_item(session: Session, subscription_id: str, given: dict[str, Any], period: tuple[int, int]) -> Document:
    """Build a subscription item from its parameters."""
    price = find_price(session, given)
    is_metered = price["recurring"]["usage_type"] == "metered"
    if is_metered and "quantity" in given:
        raise invalid("You cannot set the quantity of a metered plan.", param="items[0][quantity]")
    item: Document = {
        "id": new_id("subscription_item"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": session.now,
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": given.get("metadata") or {},
        "plan": plan_of(price),
        "price": public(price),
        "subscription": subscription_id,
        "tax_rates": [],
    }
    return item if is_metered else item | {"quantity": given.get("quantity", 1)}


def find_price(session: Session, given: dict[str, Any]) -> Document:
    """Return the recurring, active price that an item names.

    Raises: ApiError when it is missing, inactive or charged once.
    """
    if "price_data" in given:
        price = price_from_data(session, given["price_data"], param="items[0][price_data]")
    elif "price" in given:
        price = session.get("price", given["price"], param="items[0][price]")
        if not price["active"]:
            raise invalid(
                "The price specified is inactive. This field only accepts active prices.", param="items[0][price]"
            )
    else:
        raise invalid("Missing required param: items[0][price].", param="items[0][price]", code="parameter_missing")
    if price["recurring"] is None:
        raise invalid(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
            param="items[0][price]",
        )
    return price


def check_items(items: list[Document]) -> None:
    """Refuse items that cannot share a subscription."""
    prices = [item["price"] for item in items]
    if len({price["currency"] for price in prices}) > 1:
        raise invalid("All prices on a subscription must use the same currency.", param="items")
    if len({(price["recurring"]["interval"], price["recurring"]["interval_count"]) for price in prices}) > 1:
        raise invalid(
            "Currently, all prices on a subscription must have the same `recurring.interval` and "
            "`recurring.interval_count`. If you meant to update an existing subscription item instead of creating a "
            "new one, make sure to include the subscription item ID in your request.",
            param="items",
        )


def trial_end_of(session: Session, params: dict[str, Any]) -> int | None:
    """Read when a trial ends; None without a trial."""
    given = params.get("trial_end")
    if given == "now":
        return None
    if given is not None:
        if given <= session.now:
            raise invalid("Trial end must be in the future.", param="trial_end")
        return int(given)
    days = params.get("trial_period_days", 0)
    return session.now + days * _DAY_SECONDS if days else None


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


def check_cancel_at(cancel_at: int | str | None, now: int) -> None:
    """Refuse an end in the past."""
    if isinstance(cancel_at, int) and cancel_at <= now:
        raise invalid("`cancel_at` must be in the future.", param="cancel_at")


def notice_at(trial_end: int | None) -> int | None:
    """Tell when a trial's coming end is announced."""
    return None if trial_end is None else trial_end - NOTICE_SECONDS


def _shortened(entry: Document, subscription: Document, item: Document, *, prorates: bool) -> Document:
    # A first period that ends at a given anchor is charged for the seconds it has, floored (STRIPE.md, “Limits”).
    start, end = item["current_period_start"], item["current_period_end"]
    if subscription["billing_cycle_anchor"] > start:
        whole = end - one_period_before(item["price"], end)
        amount = entry["amount"] * (end - start) // whole if prorates else 0
        entry |= {"amount": amount, "subtotal": amount}
    return entry


def _anchor(session: Session, params: dict[str, Any], trial_end: int | None) -> int:
    anchor = params.get("billing_cycle_anchor")
    if anchor is not None and anchor < session.now:
        raise invalid("billing_cycle_anchor cannot be in the past.", param="billing_cycle_anchor")
    return int(anchor if anchor is not None else trial_end or session.now)


def draft_subscription(session: Session, customer: Document, params: dict[str, Any]) -> Document:
    """Build a subscription from its parameters, not yet added."""
    subscription_id = new_id("subscription")
    trial_end = trial_end_of(session, params)
    if not params.get("items"):
        raise invalid("Missing required param: items.", param="items", code="parameter_missing")
    items = [new_item(session, subscription_id, given, (session.now, session.now)) for given in params["items"]]
    check_items(items)
    check_cancel_at(params.get("cancel_at"), session.now)
    anchor = _anchor(session, params, trial_end)
    first_end = trial_end or (anchor if anchor > session.now else period_end(items[0]["price"], anchor, session.now))
    for item in items:
        item["current_period_end"] = first_end
    method_id = params.get("default_payment_method")
    if method_id:
        check_owner(session.get("payment_method", method_id, param="default_payment_method"), customer["id"])
    method = params.get("collection_method", "charge_automatically")
    if method == "send_invoice" and "days_until_due" not in params:
        raise invalid("You must specify `days_until_due` when using `send_invoice`.", param="days_until_due")
    return _document(session, subscription_id, customer, items, anchor, trial_end) | {
        "cancel_at": first_end if params.get("cancel_at_period_end") else params.get("cancel_at"),
        "cancel_at_period_end": params.get("cancel_at_period_end", False),
        "canceled_at": session.now if params.get("cancel_at_period_end") else None,
        "collection_method": method,
        "days_until_due": params.get("days_until_due"),
        "default_payment_method": method_id or None,
        "default_tax_rates": named_rates(session, params.get("default_tax_rates")),
        "description": params.get("description"),
        "discounts": new_discounts(session, params.get("discounts") or [], customer["id"], subscription_id),
        "metadata": params.get("metadata") or {},
        "trial_settings": params.get("trial_settings")
        or {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }


def _document(
    session: Session,
    subscription_id: str,
    customer: Document,
    items: list[Document],
    anchor: int,
    trial_end: int | None,
) -> Document:
    return fresh(BLANK_SUBSCRIPTION) | {
        "id": subscription_id,
        "object": "subscription",
        "billing_cycle_anchor": anchor,
        "created": session.now,
        "currency": items[0]["price"]["currency"],
        "customer": customer["id"],
        "items": list_of(items, f"/v1/subscription_items?subscription={subscription_id}"),
        "start_date": session.now,
        "status": "trialing" if trial_end else "active",
        "trial_end": trial_end,
        "trial_start": session.now if trial_end else None,
        "_billed_until": session.now,
        "_trial_notice_at": notice_at(trial_end),
    }
