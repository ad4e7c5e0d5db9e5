"""What an invoice would be: the real computation in a session that is thrown away."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.identifiers import token
from billing_worker.sandbox.core.routes import Call
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.changing import change_invoice, change_items
from billing_worker.sandbox.engine.discounts import new_discounts
from billing_worker.sandbox.engine.invoices import attach_items, set_lines, take_pending_items
from billing_worker.sandbox.engine.lines import invoice_item, item_line
from billing_worker.sandbox.engine.prices import period_end
from billing_worker.sandbox.engine.subscribing import draft_subscription, first_invoice


def preview(call: Call) -> Document:
    """Compute the next invoice of a subscription, changed or not, or the first one of a new subscription.

    Raises: ApiError as the change itself would.
    """
    params, real = call.params, call.session
    scratch = Session(store=real.store, now=real.now, settings=real.settings)
    details = params.get("subscription_details") or {}
    if "subscription" in params:
        subscription = scratch.get("subscription", params["subscription"], param="subscription")
        invoice = _of_subscription(scratch, subscription, details, params)
    elif details.get("items"):
        customer = scratch.get("customer", _customer(params), param="customer")
        invoice = first_invoice(scratch, draft_subscription(scratch, customer, details), prorates=True)
    else:
        raise invalid(
            "You must pass a subscription, or a customer with subscription_details[items].", param="subscription"
        )
    if "discounts" in params:
        invoice["discounts"] = new_discounts(scratch, params["discounts"] or [], invoice["customer"], None)
        set_lines(scratch, invoice, invoice["lines"]["data"])
    return public(invoice) | {"id": f"upcoming_in_{token(24)}", "billing_reason": "upcoming"}


def _customer(params: dict[str, Any]) -> str:
    if "customer" not in params:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
    return str(params["customer"])


def _of_subscription(
    scratch: Session, subscription: Document, details: dict[str, Any], params: dict[str, Any]
) -> Document:
    changes = {key: value for key, value in details.items() if key != "cancel_at_period_end"}
    is_due, is_whole = change_items(scratch, subscription, changes)
    for extra in params.get("invoice_items") or []:
        scratch.add(
            invoice_item(
                scratch,
                customer=subscription["customer"],
                amount_minor=extra.get("amount", 0),
                currency=extra.get("currency", subscription["currency"]),
                description=extra.get("description"),
            )
        )
    if is_due:
        return change_invoice(scratch, subscription, whole_period=is_whole)
    invoice = change_invoice(scratch, subscription, whole_period=False)
    renewal = [_renewal_line(scratch, subscription, item) for item in subscription["items"]["data"]]
    pending = take_pending_items(scratch, subscription["customer"], invoice["currency"], subscription["id"])
    set_lines(scratch, invoice, invoice["lines"]["data"] + attach_items(invoice, pending) + renewal)
    ends = subscription["items"]["data"][0]["current_period_end"]
    starts = subscription["items"]["data"][0]["current_period_start"]
    return invoice | {"created": ends, "period_start": starts, "period_end": ends, "next_payment_attempt": ends + 3600}


def _renewal_line(scratch: Session, subscription: Document, item: Document) -> Document:
    start, end = item["current_period_start"], item["current_period_end"]
    if item["price"]["recurring"]["usage_type"] == "metered":
        return item_line(scratch, subscription, item, (start, end))
    following = period_end(item["price"], subscription["billing_cycle_anchor"], end)
    return item_line(scratch, subscription, item, (end, following))
