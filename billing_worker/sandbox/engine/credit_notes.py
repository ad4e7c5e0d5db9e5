"""Credit notes: an invoice made smaller before it is paid, or money given back after."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, list_of
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import check_metadata
from billing_worker.sandbox.core.identifiers import new_id, token
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.customer_balance import change_balance
from billing_worker.sandbox.engine.invoices import default_payment, mark_paid
from billing_worker.sandbox.engine.reductions import share_out, sum_discounts
from billing_worker.sandbox.engine.refunds import refund_charge
from billing_worker.sandbox.engine.standing import after_settlement
from billing_worker.sandbox.engine.taxes import amount_with, named_rates, put_taxes, sum_taxes


def new_credit_note(session: Session, invoice: Document, params: dict[str, Any]) -> Document:
    """Build a credit note, not yet added.

    Raises: ApiError for invoices that cannot be credited, and for more than is left of them.
    """
    if invoice["status"] not in {"open", "paid", "uncollectible"}:
        raise invalid("Credit notes can only be created for open, paid or uncollectible invoices.", param="invoice")
    lines = [_line(session, invoice, given, f"lines[{index}]") for index, given in enumerate(params.get("lines") or [])]
    total = sum(_worth(entry) for entry in lines) if lines else params.get("amount", 0)
    if total < 1:
        raise invalid("Credit notes need lines or an amount above zero.", param="amount", code="parameter_missing")
    earlier = session.peek("credit_note", "invoice", invoice["id"])
    left = _creditable(invoice, earlier)
    if total > left:
        raise invalid(f"The credit note's total ({total}) is greater than what is left of the invoice ({left}).")
    number = f"{invoice['number']}-CN-{len(earlier) + 1:02d}"
    return _note(session, invoice, params, lines, total) | {"number": number}


def apply_credit_note(session: Session, note: Document, invoice: Document, params: dict[str, Any]) -> None:
    """Let a new credit note have its effect on invoice, balance and charge."""
    if note["type"] == "post_payment":
        _give_back(session, note, invoice, params)
        return
    invoice["pre_payment_credit_notes_amount"] += note["total"]
    _ask_for(session, invoice, invoice["amount_remaining"] - note["total"])
    session.tell_changes(invoice)
    if invoice["amount_remaining"] == 0:
        mark_paid(session, invoice)
        after_settlement(session, invoice)


def void_credit_note(session: Session, note: Document) -> None:
    """Take back a credit note on an invoice that is still open.

    Raises: ApiError for any other.
    """
    invoice = session.get("invoice", note["invoice"])
    if note["status"] == "void" or note["type"] != "pre_payment" or invoice["status"] != "open":
        raise invalid("You can only void an issued credit note of an open invoice.", code="invalid_credit_note")
    invoice["pre_payment_credit_notes_amount"] -= note["total"]
    _ask_for(session, invoice, invoice["amount_remaining"] + note["total"])
    note |= {"status": "void", "voided_at": session.now}
    session.tell("credit_note.voided", note)


def _note(session: Session, invoice: Document, params: dict[str, Any], lines: list[Document], total: int) -> Document:
    is_paid, note_id = invoice["status"] == "paid", new_id("credit_note")
    subtotal = sum(entry["amount"] for entry in lines) if lines else total
    taxes = sum_taxes([tax for entry in lines for tax in entry["taxes"]])
    included, all_tax = amount_with(taxes, "inclusive"), sum(tax["amount"] for tax in taxes)
    discounts = sum_discounts(lines)
    return {
        "id": note_id,
        "object": "credit_note",
        "amount": total,
        "amount_shipping": 0,
        "created": session.now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": sum(off["amount"] for off in discounts),
        "discount_amounts": discounts,
        "effective_at": params.get("effective_at", session.now),
        "invoice": invoice["id"],
        "lines": list_of(lines, f"/v1/credit_notes/{note_id}/lines"),
        "livemode": False,
        "memo": params.get("memo"),
        "metadata": check_metadata(params.get("metadata")),
        "out_of_band_amount": params.get("out_of_band_amount"),
        "pdf": f"https://pay.stripe.com/credit_notes/acct_sandbox/test_{token(28)}/pdf",
        "post_payment_amount": total if is_paid else 0,
        "pre_payment_amount": 0 if is_paid else total,
        "pretax_credit_amounts": [],
        "reason": params.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - included,
        "total": total,
        "total_excluding_tax": total - all_tax,
        "total_taxes": taxes,
        "type": "post_payment" if is_paid else "pre_payment",
        "voided_at": None,
    }


def _line(session: Session, invoice: Document, given: Document, param: str) -> Document:
    entry: Document = {
        "id": new_id("credit_note_line_item"),
        "object": "credit_note_line_item",
        "description": given.get("description"),
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": False,
        "metadata": given.get("metadata") or {},
        "pretax_credit_amounts": [],
        "quantity": given.get("quantity", 1),
        "tax_rates": named_rates(session, given.get("tax_rates"), f"{param}[tax_rates]"),
        "taxes": [],
        "type": given["type"],
        "unit_amount": given.get("unit_amount"),
        "unit_amount_decimal": None if "unit_amount" not in given else str(given["unit_amount"]),
    }
    if given["type"] == "custom_line_item":
        if "unit_amount" not in given:
            raise invalid(
                f"Missing required param: {param}[unit_amount].",
                param=f"{param}[unit_amount]",
                code="parameter_missing",
            )
        entry["amount"] = given["unit_amount"] * entry["quantity"]
        put_taxes({entry["id"]: entry["tax_rates"]}, [], [entry], exempt=invoice["customer_tax_exempt"])
        return entry
    line = next((line for line in invoice["lines"]["data"] if line["id"] == given.get("invoice_line_item")), None)
    if line is None:
        raise invalid(
            f"No such invoice line item: '{given.get('invoice_line_item')}'",
            param=f"{param}[invoice_line_item]",
            code="resource_missing",
        )
    return entry | _credited(line, given) | {"description": entry["description"] or line["description"]}


def _credited(line: Document, given: Document) -> Document:
    quantity = given.get("quantity", line["quantity"])
    amount = given.get("amount", line["amount"] * quantity // max(line["quantity"], 1))

    def part(whole: int) -> int:
        # What was taken off a line and put on it comes back in the same measure as the line itself.
        return share_out(whole, [amount, line["amount"] - amount])[0]

    discounts = [off | {"amount": part(off["amount"])} for off in line["discount_amounts"]]
    return {
        "amount": amount,
        "discount_amount": sum(off["amount"] for off in discounts),
        "discount_amounts": discounts,
        "invoice_line_item": line["id"],
        "quantity": quantity,
        "taxes": [
            tax | {"amount": part(tax["amount"]), "taxable_amount": part(tax["taxable_amount"])}
            for tax in line["taxes"]
        ],
    }


def _worth(entry: Document) -> int:
    return int(entry["amount"] - entry["discount_amount"] + amount_with(entry["taxes"], "exclusive"))


def _creditable(invoice: Document, earlier: list[Document]) -> int:
    if invoice["status"] != "paid":
        return int(invoice["amount_remaining"])
    given_back = sum(note["post_payment_amount"] for note in earlier if note["status"] == "issued")
    return int(invoice["amount_paid"] - given_back)


def _ask_for(session: Session, invoice: Document, remaining: int) -> None:
    invoice |= {"amount_due": remaining + invoice["amount_paid"], "amount_remaining": remaining}
    payment = default_payment(session, invoice)
    if payment is None:
        return
    intent = session.get("payment_intent", payment["payment"]["payment_intent"])
    if remaining:
        payment["amount_requested"] = remaining
        intent["amount"] = remaining
    elif intent["status"] != "canceled":
        intent |= {"status": "canceled", "canceled_at": session.now, "cancellation_reason": "void_invoice"}
        session.tell("payment_intent.canceled", intent)
        payment["status"] = "canceled"
        payment["status_transitions"]["canceled_at"] = session.now


def _give_back(session: Session, note: Document, invoice: Document, params: dict[str, Any]) -> None:
    credit, refunded = params.get("credit_amount", 0), params.get("refund_amount", 0)
    if credit + refunded + params.get("out_of_band_amount", 0) != note["total"]:
        raise invalid(
            "The sum of credit_amount, refund_amount and out_of_band_amount must equal the credit note's total "
            f"({note['total']}), because the invoice is paid.",
            param="credit_amount",
        )
    if credit:
        customer = session.get("customer", invoice["customer"])
        entry = change_balance(session, customer, -credit, kind="credit_note", credit_note=note["id"])
        note["customer_balance_transaction"] = entry["id"]
    if refunded:
        refund = _refund(session, invoice, refunded)
        note["refunds"] = [
            {"amount_refunded": refunded, "payment_record_refund": None, "refund": refund["id"], "type": "refund"}
        ]
    invoice["post_payment_credit_notes_amount"] += note["total"]


def _refund(session: Session, invoice: Document, amount_minor: int) -> Document:
    payment = next(
        (one for one in session.peek("invoice_payment", "invoice", invoice["id"]) if one["status"] == "paid"), None
    )
    if payment is None:
        raise invalid("The invoice was not paid through a charge that could be refunded.", param="refund_amount")
    intent = session.get("payment_intent", payment["payment"]["payment_intent"])
    charge = session.get("charge", intent["latest_charge"])
    return refund_charge(session, charge, amount_minor=amount_minor, reason=None, metadata={})
