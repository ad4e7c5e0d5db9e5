"""What an invoice would be: the real computation in a session that is thrown away."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, clone, public
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.identifiers import token
from billing_worker.sandbox.core.routes import Call
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.changing import change_invoice, change_items, prorate_end
from billing_worker.sandbox.engine.discounts import Redeemer, new_discounts
from billing_worker.sandbox.engine.invoice_items import item_from
from billing_worker.sandbox.engine.invoices import attach_items, new_invoice, set_lines, take_pending_items
from billing_worker.sandbox.engine.lines import item_lines
from billing_worker.sandbox.engine.prices import period_end
from billing_worker.sandbox.engine.standing import ENDED
from billing_worker.sandbox.engine.subscribing import draft_subscription, first_invoice
from billing_worker.sandbox.engine.subscription_invoices import (
    fill,
    new_subscription_invoice,
    period_of,
    usage_lines,
    whole_period_lines,
)
from billing_worker.sandbox.engine.subscription_terms import set_terms
from billing_worker.sandbox.engine.taxes import named_rates

_TERMS = frozenset({"cancel_at", "cancel_at_period_end"})
_DETAILS = frozenset(
    {
        *("items", "proration_behavior", "proration_date", "trial_end", "billing_cycle_anchor", "billing_mode"),
        *("default_tax_rates", "cancel_now", "start_date"),
        *_TERMS,
    }
)


def preview(call: Call) -> Document:
    """Compute the next invoice of a subscription, changed or not, or the first one of a new subscription.

    Raises: ApiError as the change itself would, and where nothing is to be invoiced.
    """
    params, real = call.params, call.session
    details = params.get("subscription_details") or {}
    _check_simulated(params, details)
    scratch = Session(store=real.store, now=real.now, settings=real.settings, recorded_at=real.recorded_at)
    subscription = _subscription(scratch, params, details)
    if subscription is not None:
        invoice = _of_subscription(scratch, subscription, details, params)
    else:
        invoice = _of_customer(scratch, details, params)
    if "discounts" in params:
        redeemer = Redeemer(invoice["customer"], currency=invoice["currency"], subtotal_minor=invoice["subtotal"])
        invoice["discounts"] = new_discounts(scratch, params["discounts"], redeemer)
        set_lines(scratch, invoice, invoice["lines"]["data"])
    for line in invoice["lines"]["data"]:
        line["id"] = f"il_tmp_{token(24)}"
    return public(invoice) | {"id": f"upcoming_in_{token(24)}", "billing_reason": "upcoming"}


def _check_simulated(params: dict[str, Any], details: dict[str, Any]) -> None:
    unknown = sorted(details.keys() - _DETAILS)
    if unknown:
        raise invalid(
            f"The sandbox does not simulate subscription_details[{unknown[0]}] of previews.",
            param=f"subscription_details[{unknown[0]}]",
            code="sandbox_not_simulated",
        )
    if "customer" not in params and "subscription" not in params:
        raise invalid(
            "You must provide one of `customer`, `subscription` or `schedule`.",
            param="customer",
            code="parameter_missing",
        )


def _subscription(scratch: Session, params: dict[str, Any], details: dict[str, Any]) -> Document | None:
    if "subscription" in params:
        subscription = scratch.get("subscription", params["subscription"], param="subscription")
        if subscription["customer"] != params.get("customer", subscription["customer"]):
            raise invalid(
                f"The subscription {subscription['id']} does not belong to the customer {params['customer']}.",
                param="subscription",
            )
        return subscription
    if details.get("items"):
        return None
    running = [
        subscription
        for subscription in scratch.select("subscription", "customer", params["customer"])
        if subscription["status"] not in ENDED | {"incomplete", "paused"}
    ]
    return min(running, key=lambda found: found["items"]["data"][0]["current_period_end"], default=None)


def _of_customer(scratch: Session, details: dict[str, Any], params: dict[str, Any]) -> Document:
    customer = scratch.get("customer", params["customer"], param="customer")
    if details.get("items"):
        given = {"backdate_start_date" if name == "start_date" else name: value for name, value in details.items()}
        subscription = scratch.add(draft_subscription(scratch, customer, given))
        _add_items(scratch, customer["id"], subscription["currency"], params, subscription["id"])
        return first_invoice(scratch, subscription, prorates=details.get("proration_behavior") != "none")
    currency = params.get("currency") or customer["currency"] or "usd"
    _add_items(scratch, customer["id"], currency, params, None)
    pending = take_pending_items(scratch, customer["id"], currency, None)
    if not pending:
        raise _nothing_upcoming(customer["id"])
    invoice = new_invoice(scratch, customer, currency=currency, reason="manual")
    set_lines(scratch, invoice, attach_items(invoice, pending))
    return invoice


def _of_subscription(
    scratch: Session, subscription: Document, details: dict[str, Any], params: dict[str, Any]
) -> Document:
    if subscription["status"] in ENDED:
        raise _nothing_upcoming(subscription["customer"])
    before = clone(subscription)
    if "default_tax_rates" in details:
        subscription["default_tax_rates"] = named_rates(scratch, details["default_tax_rates"])
    set_terms(scratch, subscription, {name: details[name] for name in _TERMS & details.keys()})
    changes = {name: value for name, value in details.items() if name not in _TERMS | {"cancel_now"}}
    is_due, is_whole = change_items(scratch, subscription, changes, before)
    _add_items(scratch, subscription["customer"], subscription["currency"], params, subscription["id"])
    if params.get("preview_mode") == "recurring":
        invoice = new_subscription_invoice(scratch, subscription, reason="subscription_cycle")
        set_lines(scratch, invoice, whole_period_lines(scratch, subscription))
        return invoice
    if details.get("cancel_now"):
        return _final(scratch, subscription, details)
    if is_due:
        return change_invoice(scratch, subscription, whole_period=is_whole)
    return _renewal(scratch, subscription)


def _final(scratch: Session, subscription: Document, details: dict[str, Any]) -> Document:
    if details.get("proration_behavior", "create_prorations") != "none":
        prorate_end(scratch, subscription)
    invoice = new_subscription_invoice(scratch, subscription, reason="subscription_cycle")
    return fill(scratch, subscription, invoice, usage_lines(scratch, subscription, scratch.now))


def _renewal(scratch: Session, subscription: Document) -> Document:
    ends = min(item["current_period_end"] for item in subscription["items"]["data"])
    is_last = subscription["cancel_at"] is not None and subscription["cancel_at"] <= ends
    if is_last:
        lines = usage_lines(scratch, subscription, subscription["cancel_at"])
    else:
        lines = [entry for item in subscription["items"]["data"] for entry in _next_lines(scratch, subscription, item)]
    pending = take_pending_items(scratch, subscription["customer"], subscription["currency"], subscription["id"])
    if not lines and not pending:
        raise _nothing_upcoming(subscription["customer"])
    started = subscription["_billed_until"]
    # Which discounts still apply is a matter of the time when that invoice is made.
    scratch.now = ends
    invoice = new_subscription_invoice(scratch, subscription, reason="subscription_cycle", period_start=started)
    set_lines(scratch, invoice, attach_items(invoice, pending) + lines)
    return invoice | {"next_payment_attempt": ends + 3600}


def _next_lines(scratch: Session, subscription: Document, item: Document) -> list[Document]:
    start, end = period_of(item)
    if item["price"]["recurring"]["usage_type"] == "metered":
        is_trial = subscription["status"] == "trialing"
        return [] if is_trial else item_lines(scratch, subscription, item, (start, end))
    following = period_end(item["price"], subscription["billing_cycle_anchor"], end)
    return item_lines(scratch, subscription, item, (end, following))


def _add_items(
    scratch: Session, customer_id: str, currency: str, params: dict[str, Any], subscription_id: str | None
) -> None:
    for index, given in enumerate(params.get("invoice_items") or []):
        param = f"invoice_items[{index}]"
        if "invoiceitem" in given:
            raise invalid(
                "The sandbox does not simulate changed invoice items in previews.",
                param=f"{param}[invoiceitem]",
                code="sandbox_not_simulated",
            )
        extra = {"currency": currency} | given | {"pricing": {"price": given["price"]} if "price" in given else None}
        extra |= {"subscription": subscription_id} if subscription_id else {}
        scratch.add(item_from(scratch, customer_id, extra, param=f"{param}["))


def _nothing_upcoming(customer_id: str) -> ApiError:
    return ApiError(f"No upcoming invoices for customer: {customer_id}", status=404, code="invoice_upcoming_none")
