"""Credit notes."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.families import assign, listing, merge_metadata, retrieve
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.routes import CURSOR, PAGE, Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.credit_notes import apply_credit_note, new_credit_note, void_credit_note


def create(call: Call) -> Document:
    """Issue a credit note."""
    session = call.session
    invoice = session.get("invoice", call.params["invoice"], param="invoice")
    note = session.add(new_credit_note(session, invoice, call.params))
    apply_credit_note(session, note, invoice, call.params)
    session.tell("credit_note.created", note)
    return note


def preview(call: Call) -> Document:
    """Show what a credit note would be."""
    real = call.session
    scratch = Session(store=real.store, now=real.now, settings=real.settings)
    invoice = scratch.get("invoice", call.params["invoice"], param="invoice")
    note = new_credit_note(scratch, invoice, call.params)
    apply_credit_note(scratch, note, invoice, call.params)
    return public(note)


def update(call: Call) -> Document:
    """Update a credit note's memo and metadata."""
    note = call.session.get("credit_note", call.id)
    assign(note, call.params, "memo")
    merge_metadata(note, call.params)
    call.session.tell_changes(note)
    return note


def void(call: Call) -> Document:
    """Void a credit note."""
    note = call.session.get("credit_note", call.id)
    void_credit_note(call.session, note)
    return note


def list_lines(call: Call) -> Document:
    """List a credit note's lines."""
    note = call.session.get("credit_note", call.id)
    return page(note["lines"]["data"], call.params, note["lines"]["url"], kind="credit_note_line_item")


_TAKES = "invoice lines amount credit_amount refund_amount out_of_band_amount effective_at memo metadata reason"

OPERATIONS = [
    route("POST", "/v1/credit_notes", create, _TAKES),
    route("GET", "/v1/credit_notes/preview", preview, _TAKES),
    route(
        "GET",
        "/v1/credit_notes",
        listing("credit_note", "/v1/credit_notes", "customer", "invoice"),
        f"{PAGE} customer invoice",
    ),
    route("GET", "/v1/credit_notes/{id}", retrieve("credit_note")),
    route("POST", "/v1/credit_notes/{id}", update, "memo metadata"),
    route("POST", "/v1/credit_notes/{id}/void", void),
    route("GET", "/v1/credit_notes/{id}/lines", list_lines, CURSOR),
]
