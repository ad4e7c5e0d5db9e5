"""Invoices, their items and their payments."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, clone, list_of, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign, check_metadata, listing, merge, merge_metadata, retrieve
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.routes import CURSOR, PAGE, Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.cards import find_method
from billing_worker.sandbox.engine.charging import check_owner
from billing_worker.sandbox.engine.collecting import collect
from billing_worker.sandbox.engine.discounts import Redeemer, new_discounts
from billing_worker.sandbox.engine.invoice_items import change_item, item_from
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
from billing_worker.sandbox.engine.lines import item_id_of, line_from_item
from billing_worker.sandbox.engine.parents import subscription_parent
from billing_worker.sandbox.engine.preview import preview
from billing_worker.sandbox.engine.revisions import copied_lines, revised
from billing_worker.sandbox.engine.standing import after_settlement
from billing_worker.sandbox.engine.taxes import named_rates

_FIELDS = (
    "account_tax_ids custom_fields default_payment_method default_source description effective_at footer number "
    "statement_descriptor"
)
_DRAFT_ONLY = (
    *("account_tax_ids", "collection_method", "custom_fields", "default_tax_rates", "description", "discounts"),
    *("effective_at", "footer", "number", "statement_descriptor"),
)
"""Source: Stripe API reference, “Update an invoice”: what changes of a draft only."""
_RENDERING: Document = {
    "amount_tax_display": None,
    "pdf": {"page_size": "auto"},
    "template": None,
    "template_version": None,
}
"""How an invoice made by hand is printed; those of subscriptions show nothing of it."""
_WAY_OF_PAYING = "collection_method days_until_due due_date auto_advance automatically_finalizes_at payment_settings"


def create(call: Call) -> Document:
    """Create a draft invoice, with the pending items when asked."""
    session, params = call.session, call.params
    if "from_invoice" in params:
        return _create_revision(call)
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
        default_tax_rates=named_rates(session, params.get("default_tax_rates")),
        metadata=check_metadata(params.get("metadata")),
        parent=subscription_parent(subscription) if subscription else None,
        rendering=clone(_RENDERING),
    )
    _set_fields(session, invoice, params)
    lines: list[Document] = []
    if params.get("pending_invoice_items_behavior", "exclude") == "include":
        pending = take_pending_items(session, customer["id"], invoice["currency"], params.get("subscription"))
        lines = attach_items(invoice, pending)
    set_lines(session, invoice, lines)
    if "discounts" in params:
        _discount_anew(session, invoice, params["discounts"])
    return open_draft(session, invoice)


def _create_revision(call: Call) -> Document:
    session, params = call.session, call.params
    original, taken_over = revised(session, params["from_invoice"]["invoice"])
    given = taken_over | {"auto_advance": params.get("auto_advance", False)}
    given["metadata"] = original["metadata"] | check_metadata(params.get("metadata"))
    invoice = new_invoice(session, session.get("customer", original["customer"]), reason="manual", **given)
    _set_fields(session, invoice, params)
    set_lines(session, invoice, copied_lines(session, original, invoice))
    return open_draft(session, invoice)


def update(call: Call) -> Document:
    """Update an invoice."""
    session, params = call.session, call.params
    invoice = session.get("invoice", call.id)
    if invoice["status"] != "draft" and (frozen := [name for name in _DRAFT_ONLY if name in params]):
        raise invalid(
            f"Finalized invoices can't be updated in this way: {frozen[0]} changes of drafts only.",
            param=frozen[0],
            code="invoice_not_editable",
        )
    _set_fields(session, invoice, params)
    merge_metadata(invoice, params)
    if "default_tax_rates" in params:
        invoice["default_tax_rates"] = named_rates(session, params["default_tax_rates"])
    if "discounts" in params:
        _discount_anew(session, invoice, params["discounts"])
    elif "default_tax_rates" in params:
        set_lines(session, invoice, invoice["lines"]["data"])
    session.tell_changes(invoice)
    return invoice


def _set_fields(session: Session, invoice: Document, params: dict[str, Any]) -> None:
    assign(invoice, params, f"{_FIELDS} collection_method due_date auto_advance automatically_finalizes_at")
    merge(invoice, params, "payment_settings")
    if "days_until_due" in params:
        invoice["_days_until_due"] = params["days_until_due"]
    is_sent = invoice["collection_method"] == "send_invoice"
    for name in ("due_date", "days_until_due"):
        if not is_sent and params.get(name):
            raise invalid(f"You can only set `{name}` if `collection_method` is set to `send_invoice`.", param=name)
    if is_sent and invoice["due_date"] is not None and invoice["due_date"] < session.now:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", param="due_date")
    if invoice["status"] == "draft" and "auto_advance" in params and "automatically_finalizes_at" not in params:
        invoice["automatically_finalizes_at"] = session.now + DRAFT_SECONDS if invoice["auto_advance"] else None


def _discount_anew(session: Session, invoice: Document, given: Any) -> None:  # noqa: ANN401 - a list, or an empty string to clear it
    redeemer = Redeemer(
        invoice["customer"],
        invoice=invoice["id"],
        currency=invoice["currency"],
        subtotal_minor=invoice["subtotal"] if invoice["lines"]["data"] else None,
    )
    invoice["discounts"] = new_discounts(session, given, redeemer)
    set_lines(session, invoice, invoice["lines"]["data"])


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
    invoice = session.get("invoice", params["invoice"], param="invoice") if "invoice" in params else None
    known = {} if invoice is None else {"currency": invoice["currency"]}
    item = session.add(item_from(session, customer["id"], known | params), "invoiceitem.created")
    if invoice is not None:
        _put_on_draft(session, item, invoice)
    return item


def update_item(call: Call) -> Document:
    """Update an invoice item; a draft that has it is added up anew."""
    session = call.session
    item = session.get("invoiceitem", call.id)
    invoice = session.get("invoice", item["invoice"]) if item["invoice"] else None
    if invoice is not None and invoice["status"] != "draft":
        raise invalid("You can't update an invoice item that is attached to an invoice that is not a draft.")
    change_item(session, item, call.params)
    merge_metadata(item, call.params)
    if invoice is not None:
        lines = [
            line_from_item(item) | {"id": entry["id"]} if item_id_of(entry) == item["id"] else entry
            for entry in invoice["lines"]["data"]
        ]
        set_lines(session, invoice, lines)
        session.tell_changes(invoice)
    return item


def delete_item(call: Call) -> Document:
    """Delete an invoice item that is on no finalised invoice."""
    session = call.session
    item = session.get("invoiceitem", call.id)
    if item["invoice"]:
        invoice = session.get("invoice", item["invoice"])
        if invoice["status"] != "draft":
            raise invalid("You can't delete an invoice item that is attached to an invoice that is not a draft.")
        kept = [entry for entry in invoice["lines"]["data"] if item_id_of(entry) != item["id"]]
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


def _put_on_draft(session: Session, item: Document, invoice: Document) -> None:
    if invoice["status"] != "draft":
        raise invalid("You can only add invoice items to draft invoices.", param="invoice", code="invoice_not_editable")
    if item["currency"] != invoice["currency"]:
        raise invalid(
            f"The currency of the invoice item ({item['currency']}) must match the invoice's ({invoice['currency']}).",
            param="currency",
        )
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
    f"customer currency from_invoice discounts metadata subscription pending_invoice_items_behavior default_tax_rates "
    f"{_WAY_OF_PAYING} {_FIELDS}"
)
_UPDATE = f"default_tax_rates discounts metadata {_WAY_OF_PAYING} {_FIELDS}"
_PREVIEW = "customer subscription subscription_details invoice_items discounts currency preview_mode"
_ITEM_BOTH = (
    "amount description discountable discounts metadata period price_data pricing quantity tax_rates "
    "unit_amount_decimal"
)

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
    route("POST", "/v1/invoices/{invoice}", update, _UPDATE),
    route("DELETE", "/v1/invoices/{invoice}", delete),
    route("POST", "/v1/invoices/{invoice}/finalize", finalize_operation, "auto_advance"),
    route("POST", "/v1/invoices/{invoice}/pay", pay, "payment_method paid_out_of_band off_session"),
    route("POST", "/v1/invoices/{invoice}/void", close("void")),
    route("POST", "/v1/invoices/{invoice}/mark_uncollectible", close("uncollectible")),
    route("POST", "/v1/invoices/{invoice}/send", send),
    route("GET", "/v1/invoices/{invoice}/lines", list_lines, CURSOR),
    route("POST", "/v1/invoiceitems", create_item, f"customer currency invoice subscription {_ITEM_BOTH}"),
    route("POST", "/v1/invoiceitems/{invoiceitem}", update_item, _ITEM_BOTH),
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
