"""Revisions: a draft with the lines of a final invoice, which it replaces when it becomes final itself."""

from __future__ import annotations

from copy import deepcopy

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.lines import item_id_of, line_from_item

_KEPT = (
    *("account_tax_ids", "collection_method", "currency", "custom_fields", "default_payment_method", "description"),
    *("default_tax_rates", "discounts", "footer", "parent", "payment_settings", "period_end", "period_start"),
)


def revised(session: Session, original_id: str) -> tuple[Document, Document]:
    """Return the invoice to be revised, and what its revision takes over.

    Raises: ApiError when it is not open.
    Source: Stripe documentation, “Edit a finalized invoice”.
    """
    original = session.get("invoice", original_id, param="from_invoice[invoice]")
    if original["status"] != "open":
        raise invalid(
            f"You can only revise open invoices: this invoice's status is {original['status']}.",
            param="from_invoice[invoice]",
            code="invoice_not_editable",
        )
    kept = {name: deepcopy(original[name]) for name in _KEPT}
    return original, kept | {"from_invoice": {"action": "revision", "invoice": original["id"]}}


def copied_lines(session: Session, original: Document, revision: Document) -> list[Document]:
    """Copy the lines, with an invoice item of its own for each that has one."""
    lines = []
    for line in original["lines"]["data"]:
        rates = deepcopy(original["_line_rates"].get(line["id"], []))
        item_id = item_id_of(line)
        if item_id is None:
            lines.append(deepcopy(line) | {"id": new_id("line_item"), "tax_rates": rates})
            continue
        item = deepcopy(session.get("invoiceitem", item_id)) | {"id": new_id("invoiceitem")}
        item["invoice"] = revision["id"]
        session.add(item, "invoiceitem.created")
        lines.append(line_from_item(item))
    return lines
