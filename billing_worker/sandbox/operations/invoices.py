"""Invoices, their items and their payments."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, list_of, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign, check_metadata, listing, merge_metadata, retrieve
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.routes import CURSOR, PAGE, Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.cards import find_method
from billing_worker.sandbox.engine.charging import check_owner
from billing_worker.sandbox.engine.collecting import collect
from billing_worker.sandbox.engine.discounts import new_discounts
from billing_worker.sandbox.engine.invoices import (
    DRAFT_SECONDS,
    attach_items,
    close_unpaid,
    default_payment,
    finalize,
    mark_paid,
    new_invoice,
    open_draft,
    set_lines,
    subscription_id_of,
    take_pending_items,
)
from billing_worker.sandbox.engine.lines import invoice_item, pricing_of
from billing_worker.sandbox.engine.parents import subscription_parent
from billing_worker.sandbox.engine.preview import preview
from billing_worker.sandbox.engine.prices import price_amount
from billing_worker.sandbox.engine.standing import after_settlement
from billing_worker.sandbox.engine.taxes import named_rates

_FIELDS = "description footer default_payment_method statement_descriptor"


def create(call: Call) -> Document:
    """Create a draft invoice, with the pending items when asked."""
    session, params = call.session, call.params
    if "customer" not in params:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
    customer = session.get("customer", params["customer"], param="customer")
    subscription = None
    if "subscription" in params:
        subscription = session.get("subscription", params["subscription"], param="subscription")
    is_automatic = params.get("auto_advance", False)
    invoice = new_invoice(
        session,
        customer,
        currency=params.get("currency") or customer["currency"] or "usd",
        reason="manual",
        auto_advance=is_automatic,
        automatically_finalizes_at=session.now + DRAFT_SECONDS if is_automatic else None,
        collection_method=params.get("collection_method", "charge_automatically"),
        default_tax_rates=named_rates(session, params.get("default_tax_rates")),
        discounts=new_discounts(session, params.get("discounts") or [], customer["id"], None),
        due_date=params.get("due_date"),
        metadata=check_metadata(params.get("metadata")),
        parent=subscription_parent(subscription) if subscription else None,
        _days_until_due=params.get("days_until_due"),
    )
    assign(invoice, params, _FIELDS)
    lines: list[Document] = []
    if params.get("pending_invoice_items_behavior", "exclude") == "include":
        pending = take_pending_items(session, customer["id"], invoice["currency"], params.get("subscription"))
        lines = attach_items(invoice, pending)
    set_lines(session, invoice, lines)
    return open_draft(session, invoice)


def update(call: Call) -> Document:
    """Update an invoice."""
    invoice = call.session.get("invoice", call.id)
    assign(invoice, call.params, f"{_FIELDS} auto_advance due_date")
    merge_metadata(invoice, call.params)
    if "default_tax_rates" in call.params:
        _tax_anew(call, invoice)
    if invoice["status"] == "draft" and "auto_advance" in call.params:
        invoice["automatically_finalizes_at"] = call.session.now + DRAFT_SECONDS if invoice["auto_advance"] else None
    call.session.tell_changes(invoice)
    return invoice


def _tax_anew(call: Call, invoice: Document) -> None:
    if invoice["status"] != "draft":
        raise invalid("Finalized invoices can't be updated in this way.", param="default_tax_rates")
    invoice["default_tax_rates"] = named_rates(call.session, call.params["default_tax_rates"])
    set_lines(call.session, invoice, invoice["lines"]["data"])


def delete(call: Call) -> Document:
    """Delete a draft; its items wait again."""
    session = call.session
    invoice = session.get("invoice", call.id)
    if invoice["status"] != "draft" or subscription_id_of(invoice):
        raise invalid("You can only delete draft invoices that are not of a subscription.", code="invoice_not_editable")
    for item in session.select("invoiceitem", "invoice", call.id):
        item["invoice"] = None
    session.tell("invoice.deleted", invoice)
    session.remove(invoice)
    return {"id": call.id, "object": "invoice", "deleted": True}


def finalize_operation(call: Call) -> Document:
    """Finalise a draft."""
    invoice = call.session.get("invoice", call.id)
    finalize(call.session, invoice)
    if "auto_advance" in call.params and invoice["status"] == "open":
        invoice["auto_advance"] = call.params["auto_advance"]
    is_collected_later = invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically"
    if invoice["status"] == "open":
        invoice["next_payment_attempt"] = call.session.now + DRAFT_SECONDS if is_collected_later else None
    else:
        after_settlement(call.session, invoice)
    call.session.tell_changes(invoice)
    return invoice


def pay(call: Call) -> Document:
    """Pay an invoice now; a draft is finalised first."""
    session, params = call.session, call.params
    invoice = session.get("invoice", call.id)
    if invoice["status"] == "draft":
        finalize(session, invoice)
        if invoice["status"] == "paid":
            after_settlement(session, invoice)
            return invoice
    if invoice["status"] == "paid":
        raise invalid("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] not in {"open", "uncollectible"}:
        raise invalid(
            f"You can only pay open invoices: this invoice's status is {invoice['status']}.", code="invoice_not_open"
        )
    if params.get("paid_out_of_band"):
        mark_paid(session, invoice, out_of_band=True)
        after_settlement(session, invoice)
        return invoice
    method = None
    if params.get("payment_method"):
        method = find_method(session, params["payment_method"])
        check_owner(method, invoice["customer"])
    refusal = collect(session, invoice, method=method, is_automatic=False)
    if refusal is not None:
        if refusal.code == "authentication_required":
            refusal.code = "invoice_payment_intent_requires_action"
        raise refusal
    return invoice


def close(status: str) -> Any:  # noqa: ANN401 - a Handler
    """Make the operation that voids an invoice or gives it up."""

    def handle(call: Call) -> Document:
        invoice = call.session.get("invoice", call.id)
        close_unpaid(call.session, invoice, status)
        after_settlement(call.session, invoice)
        return invoice

    return handle


def send(call: Call) -> Document:
    """Send an invoice by mail; a draft is finalised first."""
    invoice = call.session.get("invoice", call.id)
    if invoice["collection_method"] != "send_invoice":
        raise invalid("You can only manually send an invoice if its collection method is 'send_invoice'.")
    if invoice["status"] == "draft":
        finalize(call.session, invoice)
    call.session.tell("invoice.sent", invoice)
    return invoice


def list_lines(call: Call) -> Document:
    """List an invoice's lines, in their order."""
    invoice = call.session.get("invoice", call.id)
    return page(invoice["lines"]["data"], call.params, f"/v1/invoices/{call.id}/lines", kind="line_item")


def create_item(call: Call) -> Document:
    """Create an invoice item, waiting for the next invoice or on a draft."""
    session, params = call.session, call.params
    if "customer" not in params:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
    customer = session.get("customer", params["customer"], param="customer")
    amount, currency, given = _item_amount(session, params)
    if currency is None:
        raise invalid("Missing required param: currency.", param="currency", code="parameter_missing")
    if "subscription" in params:
        session.get("subscription", params["subscription"], param="subscription")
        details = {"subscription": params["subscription"], "subscription_item": None}
        given["parent"] = {"type": "subscription_details", "subscription_details": details}
    if "period" in params:
        given["period"] = params["period"]
    item = invoice_item(
        session,
        customer=customer["id"],
        amount_minor=amount,
        currency=currency.lower(),
        description=params.get("description"),
        discountable=params.get("discountable", True),
        metadata=check_metadata(params.get("metadata")),
        **given,
    )
    session.add(item, "invoiceitem.created")
    if "invoice" in params:
        _put_on_draft(session, item, session.get("invoice", params["invoice"], param="invoice"))
    return item


def delete_item(call: Call) -> Document:
    """Delete an invoice item that is on no finalised invoice."""
    session = call.session
    item = session.get("invoiceitem", call.id)
    if item["invoice"]:
        invoice = session.get("invoice", item["invoice"])
        if invoice["status"] != "draft":
            raise invalid("You can't delete an invoice item that is attached to an invoice that is not a draft.")
        kept = [
            entry
            for entry in invoice["lines"]["data"]
            if ((entry["parent"] or {}).get("invoice_item_details") or {}).get("invoice_item") != item["id"]
        ]
        set_lines(session, invoice, kept)
        session.tell_changes(invoice)
    session.tell("invoiceitem.deleted", item)
    session.remove(item)
    return {"id": call.id, "object": "invoiceitem", "deleted": True}


def payments_of(session: Session, invoice: Document) -> Document:
    """Give an invoice's `payments`, which are left out unless expanded."""
    payments = session.peek("invoice_payment", "invoice", invoice["id"])
    return list_of((public(payment) for payment in payments), f"/v1/invoice_payments?invoice={invoice['id']}")


def confirmation_secret_of(session: Session, invoice: Document) -> Document | None:
    """Give an invoice's `confirmation_secret`, which is left out unless expanded."""
    payment = default_payment(session, invoice)
    if payment is None:
        return None
    intent = session.get("payment_intent", payment["payment"]["payment_intent"])
    return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def _item_amount(session: Session, params: dict[str, Any]) -> tuple[int, str | None, dict[str, Any]]:
    quantity = params.get("quantity", 1)
    given: dict[str, Any] = {"quantity": quantity, "quantity_decimal": str(quantity)}
    price_id = (params.get("pricing") or {}).get("price")
    if price_id:
        price = session.get("price", price_id, param="pricing[price]")
        if price["type"] != "one_time":
            raise invalid("The price specified is recurring. This field only accepts one-time prices.", param="pricing")
        return price_amount(price, quantity), price["currency"], given | {"pricing": pricing_of(price)}
    if "amount" not in params:
        raise invalid("You must pass amount or pricing.", param="amount", code="parameter_missing")
    return params["amount"], params.get("currency"), given


def _put_on_draft(session: Session, item: Document, invoice: Document) -> None:
    if invoice["status"] != "draft":
        raise invalid("You can only add invoice items to draft invoices.", param="invoice", code="invoice_not_editable")
    set_lines(session, invoice, [*invoice["lines"]["data"], *attach_items(invoice, [item])])
    session.tell_changes(invoice)


def _invoice_matches(invoice: Document, params: dict[str, Any]) -> bool:
    return "subscription" not in params or subscription_id_of(invoice) == params["subscription"]


def _item_matches(item: Document, params: dict[str, Any]) -> bool:
    return params.get("pending") is not True or item["invoice"] is None


def _payment_matches(payment: Document, params: dict[str, Any]) -> bool:
    wanted = (params.get("payment") or {}).get("payment_intent")
    return wanted is None or payment["payment"].get("payment_intent") == wanted


_CREATE = (
    "customer auto_advance collection_method currency days_until_due due_date discounts metadata subscription "
    f"pending_invoice_items_behavior default_tax_rates {_FIELDS}"
)
_PREVIEW = "customer subscription subscription_details invoice_items discounts currency"

OPERATIONS = [
    route("POST", "/v1/invoices", create, _CREATE),
    route(
        "GET",
        "/v1/invoices",
        listing("invoice", "/v1/invoices", "customer", "status", "collection_method", where=_invoice_matches),
        f"{PAGE} customer status subscription collection_method",
    ),
    route("POST", "/v1/invoices/create_preview", preview, _PREVIEW),
    route("GET", "/v1/invoices/{invoice}", retrieve("invoice")),
    route("POST", "/v1/invoices/{invoice}", update, f"auto_advance default_tax_rates due_date metadata {_FIELDS}"),
    route("DELETE", "/v1/invoices/{invoice}", delete),
    route("POST", "/v1/invoices/{invoice}/finalize", finalize_operation, "auto_advance"),
    route("POST", "/v1/invoices/{invoice}/pay", pay, "payment_method paid_out_of_band off_session"),
    route("POST", "/v1/invoices/{invoice}/void", close("void")),
    route("POST", "/v1/invoices/{invoice}/mark_uncollectible", close("uncollectible")),
    route("POST", "/v1/invoices/{invoice}/send", send),
    route("GET", "/v1/invoices/{invoice}/lines", list_lines, CURSOR),
    route(
        "POST",
        "/v1/invoiceitems",
        create_item,
        "customer amount currency description discountable invoice metadata period pricing quantity subscription",
    ),
    route(
        "GET",
        "/v1/invoiceitems",
        listing("invoiceitem", "/v1/invoiceitems", "customer", "invoice", where=_item_matches),
        f"{PAGE} customer invoice pending",
    ),
    route("GET", "/v1/invoiceitems/{invoiceitem}", retrieve("invoiceitem")),
    route("DELETE", "/v1/invoiceitems/{invoiceitem}", delete_item),
    route(
        "GET",
        "/v1/invoice_payments",
        listing("invoice_payment", "/v1/invoice_payments", "invoice", "status", where=_payment_matches),
        f"{PAGE} invoice status payment",
    ),
    route("GET", "/v1/invoice_payments/{invoice_payment}", retrieve("invoice_payment")),
]
