"""The life of an invoice: draft, open, paid, void, uncollectible."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, counted_list
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.identifiers import new_id, token
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.amounts import smallest_charge
from billing_worker.sandbox.engine.blanks import BLANK_INVOICE, fresh
from billing_worker.sandbox.engine.charging import new_intent
from billing_worker.sandbox.engine.customer_balance import change_balance
from billing_worker.sandbox.engine.discounts import discounts_of, mark_used
from billing_worker.sandbox.engine.lines import line_from_item
from billing_worker.sandbox.engine.reductions import coupons_of, credits_of, own_discounts, put_discounts
from billing_worker.sandbox.engine.taxes import amount_with, put_taxes

DRAFT_SECONDS = 3600
"""Source: Stripe documentation, “Invoice workflow”: drafts of subscriptions are finalised about an hour later."""
_DAY_SECONDS = 86_400
_PURPOSES = {
    "subscription_create": "Subscription creation",
    "subscription_cycle": "Subscription update",
    "subscription_update": "Subscription update",
}
"""How the payments of a subscription's invoices are described, as recorded."""
_PAGES = {"US": "letter", "CA": "letter"}
"""What an invoice's paper is when nothing names it; A4 elsewhere."""


def new_invoice(session: Session, customer: Document, *, currency: str, reason: str, **given: Any) -> Document:  # noqa: ANN401 - JSON values
    """Build a draft without lines, not yet added."""
    return (
        fresh(BLANK_INVOICE)
        | {
            "id": new_id("invoice"),
            "object": "invoice",
            "billing_reason": reason,
            "created": session.now,
            "currency": currency,
            "customer": customer["id"],
            "customer_address": customer["address"],
            "customer_email": customer["email"],
            "customer_name": customer["name"],
            "customer_phone": customer["phone"],
            "customer_shipping": customer["shipping"],
            "customer_tax_exempt": customer["tax_exempt"],
            "discounts": discounts_of(session, customer),
            "lines": counted_list([], ""),
            "period_end": session.now,
            "period_start": session.now,
            "webhooks_delivered_at": session.now,
        }
        | {name: value for name, value in given.items() if name != "discounts" or value}
    )


def set_lines(session: Session, invoice: Document, lines: list[Document]) -> None:
    """Put lines on a draft and add them up.

    Shape: a new line brings its own `tax_rates`, which are kept apart because a line does not show them.
    """
    for entry in lines:
        entry["invoice"] = invoice["id"]
        if "tax_rates" in entry:
            invoice["_line_rates"][entry["id"]] = entry.pop("tax_rates")
    invoice["lines"] = counted_list(lines, f"/v1/invoices/{invoice['id']}/lines")
    gross = sum(entry["amount"] for entry in lines)
    discounts = put_discounts(coupons_of(session), invoice["discounts"], lines)
    mark_used(session, discounts)
    kept = gross - sum(entry["amount"] for entry in discounts)
    subtotal = gross - own_discounts(lines)
    exempt = invoice["customer_tax_exempt"]
    taxes = put_taxes(invoice["_line_rates"], invoice["default_tax_rates"], lines, exempt=exempt)
    total = kept + amount_with(taxes, "exclusive")
    included = amount_with(taxes, "inclusive")
    customer = session.get("customer", invoice["customer"])
    # A credit balance is negative: it pays as far as it reaches, and a negative total adds to it. What is owed is due.
    due = max(total + customer["balance"], 0)
    invoice |= {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - included,
        "total": total,
        "total_excluding_tax": kept - included,
        "total_taxes": taxes,
        "total_discount_amounts": discounts,
        "total_pretax_credit_amounts": credits_of(discounts),
        "starting_balance": customer["balance"],
        "amount_due": due,
        "amount_remaining": due,
    }


def take_pending_items(
    session: Session, customer_id: str, currency: str, subscription_id: str | None
) -> list[Document]:
    """List the customer's invoice items that wait for this kind of invoice."""

    def waits(item: Document) -> bool:
        details = (item["parent"] or {}).get("subscription_details") or {}
        return (
            item["invoice"] is None
            and item["currency"] == currency
            and details.get("subscription") in {None, subscription_id}
        )

    return [item for item in session.select("invoiceitem", "customer", customer_id) if waits(item)]


def attach_items(invoice: Document, items: list[Document]) -> list[Document]:
    """Bind invoice items to an invoice and give their lines."""
    for item in items:
        item["invoice"] = invoice["id"]
    return [line_from_item(item) for item in items]


def open_draft(session: Session, invoice: Document) -> Document:
    """Add a draft with its lines, and tell of it."""
    customer = session.get("customer", invoice["customer"])
    if customer["currency"] is None:
        customer["currency"] = invoice["currency"]
        session.tell_changes(customer)
    return session.add(invoice, "invoice.created")


def finalize(session: Session, invoice: Document) -> None:
    """Open a draft; one that asks for nothing is paid at once.

    Raises: ApiError when it is no draft.
    """
    if invoice["status"] != "draft":
        raise invalid(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            code="invoice_not_editable",
        )
    number = invoice["number"] or _next_number(session, invoice)
    _settle_balance(session, invoice)
    secret = token(28)
    invoice |= {
        "status": "open",
        "number": number,
        "automatically_finalizes_at": None,
        "effective_at": invoice["effective_at"] or session.now,
        "ending_balance": session.get("customer", invoice["customer"])["balance"],
        "hosted_invoice_url": f"https://invoice.stripe.com/i/acct_sandbox/test_{secret}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/acct_sandbox/test_{secret}/pdf",
    }
    invoice["status_transitions"]["finalized_at"] = session.now
    if invoice["rendering"] and invoice["rendering"]["pdf"]["page_size"] == "auto":
        page_size = _PAGES.get(invoice["account_country"], "a4")
        invoice["rendering"] = invoice["rendering"] | {"pdf": {"page_size": page_size}}
    if invoice["collection_method"] == "send_invoice":
        invoice["next_payment_attempt"] = None
        if invoice["due_date"] is None:
            invoice["due_date"] = session.now + (invoice["_days_until_due"] or 30) * _DAY_SECONDS
    if invoice["amount_due"] > 0:
        _expect_payment(session, invoice)
    session.tell("invoice.finalized", invoice)
    if invoice["from_invoice"]:
        replaced = session.get("invoice", invoice["from_invoice"]["invoice"])
        replaced["latest_revision"] = invoice["id"]
        close_unpaid(session, replaced, "void")
    if invoice["amount_due"] == 0:
        mark_paid(session, invoice)


def mark_paid(session: Session, invoice: Document, *, out_of_band: bool = False) -> None:
    """Close an invoice as paid, and tell everything that follows from it."""
    paid = 0 if invoice["amount_due"] == 0 else invoice["amount_remaining"]
    invoice |= {
        "status": "paid",
        "amount_paid": invoice["amount_paid"] + paid,
        "amount_remaining": 0,
        "attempted": True,
        "next_payment_attempt": None,
        "auto_advance": False,
    }
    invoice["status_transitions"]["paid_at"] = session.now
    session.tell("invoice.paid", invoice)
    session.tell("invoice.payment_succeeded", invoice)
    for payment in session.select("invoice_payment", "invoice", invoice["id"]):
        if payment["status"] == "open":
            payment.update({"status": "canceled"} if out_of_band else {"status": "paid", "amount_paid": paid})
            payment["status_transitions"]["canceled_at" if out_of_band else "paid_at"] = session.now
            if not out_of_band:
                session.tell("invoice_payment.paid", payment)


def close_unpaid(session: Session, invoice: Document, status: str) -> None:
    """Void an invoice or give it up as uncollectible."""
    transition, event = {
        "void": ("voided_at", "invoice.voided"),
        "uncollectible": ("marked_uncollectible_at", "invoice.marked_uncollectible"),
    }[status]
    allowed = {"open", "uncollectible"} if status == "void" else {"open"}
    if invoice["status"] not in allowed:
        raise invalid(
            f"You can only pass in open invoices. This invoice isn't open: its status is {invoice['status']}.",
            code="invoice_not_editable",
        )
    invoice |= {"status": status, "next_payment_attempt": None, "auto_advance": False}
    invoice["status_transitions"][transition] = session.now
    if status == "void":
        _cancel_payments(session, invoice)
    session.tell(event, invoice)


def subscription_id_of(invoice: Document) -> str | None:
    """Tell which subscription an invoice belongs to."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found


def default_payment(session: Session, invoice: Document) -> Document | None:
    """Find the payment through which an open invoice is to be paid."""
    payments = session.select("invoice_payment", "invoice", invoice["id"])
    return next((payment for payment in payments if payment["is_default"]), None)


def _next_number(session: Session, invoice: Document) -> str:
    customer = session.get("customer", invoice["customer"])
    customer["next_invoice_sequence"] += 1
    return f"{customer['invoice_prefix']}-{customer['next_invoice_sequence'] - 1:04d}"


def _settle_balance(session: Session, invoice: Document) -> None:
    customer = session.get("customer", invoice["customer"])
    set_lines(session, invoice, invoice["lines"]["data"])
    kind = "applied_to_invoice"
    if 0 < invoice["amount_due"] < smallest_charge(invoice["currency"]):
        # Too little for a charge of its own: it is owed until the next invoice.
        invoice |= {"amount_due": 0, "amount_remaining": 0}
        kind = "invoice_too_small"
    change = invoice["total"] - invoice["amount_due"]
    if change:
        change_balance(session, customer, change, kind=kind, invoice=invoice["id"])
    session.tell_changes(customer)


def _expect_payment(session: Session, invoice: Document) -> None:
    intent = new_intent(
        session,
        amount_minor=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        description=_PURPOSES.get(invoice["billing_reason"], "Payment for Invoice"),
        payment_details={"customer_reference": None, "order_reference": invoice["id"]},
        setup_future_usage="off_session" if subscription_id_of(invoice) else None,
        _invoice=invoice["id"],
    )
    session.add(
        {
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": session.now,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def _cancel_payments(session: Session, invoice: Document) -> None:
    for payment in session.select("invoice_payment", "invoice", invoice["id"]):
        if payment["status"] != "open":
            continue
        payment["status"] = "canceled"
        payment["status_transitions"]["canceled_at"] = session.now
        intent = session.get("payment_intent", payment["payment"]["payment_intent"])
        if intent["status"] != "canceled":
            intent |= {"status": "canceled", "canceled_at": session.now, "cancellation_reason": "void_invoice"}
            session.tell("payment_intent.canceled", intent)
