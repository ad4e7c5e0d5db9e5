"""The invoices of a subscription: what they all have in common, and what its items put on them."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.discounts import still_applying
from billing_worker.sandbox.engine.invoices import attach_items, new_invoice, set_lines, take_pending_items
from billing_worker.sandbox.engine.lines import item_lines
from billing_worker.sandbox.engine.parents import subscription_parent


def new_subscription_invoice(session: Session, subscription: Document, *, reason: str, **given: Any) -> Document:  # noqa: ANN401 - JSON values
    """Build a draft of a subscription, not yet added, without lines."""
    settings = subscription["payment_settings"]
    return new_invoice(
        session,
        session.get("customer", subscription["customer"]),
        currency=subscription["currency"],
        reason=reason,
        parent=subscription_parent(subscription),
        account_tax_ids=subscription["invoice_settings"]["account_tax_ids"],
        collection_method=subscription["collection_method"],
        default_tax_rates=list(subscription["default_tax_rates"]),
        discounts=still_applying(session, subscription["discounts"]),
        payment_settings={
            "default_mandate": None,
            "payment_method_options": settings["payment_method_options"],
            "payment_method_types": settings["payment_method_types"],
        },
        _days_until_due=subscription["days_until_due"],
        **given,
    )


def fill(session: Session, subscription: Document, invoice: Document, lines: list[Document]) -> Document:
    """Put what waits for a subscription's next invoice and these lines on a draft."""
    pending = take_pending_items(session, invoice["customer"], invoice["currency"], subscription["id"])
    set_lines(session, invoice, attach_items(invoice, pending) + lines)
    return invoice


def whole_period_lines(session: Session, subscription: Document) -> list[Document]:
    """Charge what is charged ahead for the current period."""
    return [
        entry
        for item in subscription["items"]["data"]
        if item["price"]["recurring"]["usage_type"] != "metered"
        for entry in item_lines(session, subscription, item, period_of(item))
    ]


def usage_lines(session: Session, subscription: Document, until: int) -> list[Document]:
    """Charge what was used in the current period up to an instant."""
    return [
        entry
        for item in subscription["items"]["data"]
        if item["price"]["recurring"]["usage_type"] == "metered"
        for entry in item_lines(session, subscription, item, (period_of(item)[0], min(period_of(item)[1], until)))
    ]


def period_of(item: Document) -> tuple[int, int]:
    """Give an item's current period."""
    return item["current_period_start"], item["current_period_end"]
