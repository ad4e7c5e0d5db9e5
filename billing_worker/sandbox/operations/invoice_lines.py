"""The lines of a draft, changed one by one or many at once."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid, no_such
from billing_worker.sandbox.core.families import merge_metadata
from billing_worker.sandbox.core.routes import Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.invoice_items import change_item, item_from
from billing_worker.sandbox.engine.invoices import attach_items, set_lines
from billing_worker.sandbox.engine.lines import item_id_of, line_from_item
from billing_worker.sandbox.engine.taxes import named_rates

_CHARGED = frozenset({"amount", "pricing", "price_data", "quantity", "discountable", "discounts", "period"})
_LINE = "amount description discountable discounts metadata period price_data pricing quantity tax_rates"


def add_lines(call: Call) -> Document:
    """Add lines to a draft, new ones or waiting invoice items."""
    session, invoice = call.session, _draft(call)
    items = []
    for index, given in enumerate(call.params["lines"]):
        if waiting := given.get("invoice_item"):
            item = session.get("invoiceitem", waiting, param=f"lines[{index}][invoice_item]")
            if item["invoice"] is not None:
                raise invalid("The invoice item is on an invoice already.", param=f"lines[{index}][invoice_item]")
        else:
            extra = {"currency": invoice["currency"]} | given
            item = session.add(item_from(session, invoice["customer"], extra, param=f"lines[{index}]["))
            session.tell("invoiceitem.created", item)
        items.append(item)
    set_lines(session, invoice, [*invoice["lines"]["data"], *attach_items(invoice, items)])
    return _done(call, invoice)


def update_lines(call: Call) -> Document:
    """Change several lines of a draft."""
    invoice = _draft(call)
    for index, given in enumerate(call.params["lines"]):
        _update(call.session, invoice, given["id"], given, f"lines[{index}][id]")
    return _done(call, invoice)


def remove_lines(call: Call) -> Document:
    """Take lines off a draft; their invoice items go with them, or wait again."""
    session, invoice = call.session, _draft(call)
    behaviors = {given["id"]: given["behavior"] for given in call.params["lines"]}
    lines = invoice["lines"]["data"]
    for index, line_id in enumerate(behaviors):
        line = _find(lines, line_id, f"lines[{index}][id]")
        item = session.find("invoiceitem", item_id_of(line))
        if item is None:
            raise invalid("Only lines of invoice items can be removed.", param=f"lines[{index}][id]")
        if behaviors[line_id] == "unassign":
            item["invoice"] = None
        else:
            session.tell("invoiceitem.deleted", item)
            session.remove(item)
    set_lines(session, invoice, [line for line in lines if line["id"] not in behaviors])
    return _done(call, invoice)


def update_line(call: Call) -> Document:
    """Change one line of a draft."""
    invoice = _draft(call)
    line_id = _update(call.session, invoice, call.ids[1], call.params, None)
    call.session.tell_changes(invoice)
    return _find(invoice["lines"]["data"], line_id, None)


def _update(session: Session, invoice: Document, line_id: str, given: dict[str, Any], param: str | None) -> str:
    lines = invoice["lines"]["data"]
    line = _find(lines, line_id, param)
    item = session.find("invoiceitem", item_id_of(line))
    if item is not None:
        change_item(session, item, given)
        merge_metadata(item, given)
        fresh = line_from_item(item) | {"id": line_id}
        set_lines(session, invoice, [fresh if one["id"] == line_id else one for one in lines])
        return line_id
    if refused := sorted(_CHARGED & given.keys()):
        raise invalid(
            f"The sandbox does not simulate a changed {refused[0]} of a subscription's line.",
            param=refused[0],
            code="sandbox_not_simulated",
        )
    merge_metadata(line, given)
    if "description" in given:
        line["description"] = given["description"]
    if "tax_rates" in given:
        line["tax_rates"] = named_rates(session, given["tax_rates"], "tax_rates")
    set_lines(session, invoice, lines)
    return line_id


def _draft(call: Call) -> Document:
    invoice = call.session.get("invoice", call.id)
    if invoice["status"] != "draft":
        raise invalid("You can only change the lines of draft invoices.", code="invoice_not_editable")
    return invoice


def _find(lines: list[Document], line_id: str, param: str | None) -> Document:
    found = next((line for line in lines if line["id"] == line_id), None)
    if found is None:
        raise no_such("line_item", line_id, param=param)
    return found


def _done(call: Call, invoice: Document) -> Document:
    if "invoice_metadata" in call.params:
        merge_metadata(invoice, {"metadata": call.params["invoice_metadata"]})
    call.session.tell_changes(invoice)
    return invoice


OPERATIONS = [
    route("POST", "/v1/invoices/{invoice}/add_lines", add_lines, "lines invoice_metadata"),
    route("POST", "/v1/invoices/{invoice}/update_lines", update_lines, "lines invoice_metadata"),
    route("POST", "/v1/invoices/{invoice}/remove_lines", remove_lines, "lines invoice_metadata"),
    route("POST", "/v1/invoices/{invoice}/lines/{line_item_id}", update_line, _LINE),
]
