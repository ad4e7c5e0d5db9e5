"""Invoices to put on paper, and what can be seen of a PDF."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pypdfium2

from billing_worker.domains.invoices.document import Surroundings, describe_invoice

MARCH = 1772323200
"""2026-03-01 00:00 UTC."""


def line(description: str, amount: int, quantity: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"il_{description}",
        "description": description,
        "amount": amount,
        "quantity": quantity,
        "pricing": {"unit_amount_decimal": str(amount // quantity)},
        "period": {"start": MARCH, "end": MARCH + 31 * 86400},
        **fields,
    }


def invoice(*lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    total = sum(one["amount"] for one in lines)
    return {
        "id": "in_1",
        "object": "invoice",
        "number": "EX-0042",
        "currency": "usd",
        "status": "open",
        "created": MARCH,
        "customer": "cus_1",
        "customer_name": "Ann Example",
        "customer_address": {"line1": "1 Main St", "city": "Springfield", "state": "IL", "country": "US"},
        "subtotal": total,
        "total": total,
        "amount_due": total,
        "amount_paid": 0,
        "amount_remaining": total,
        "lines": {"data": list(lines), "has_more": False},
        **fields,
    }


def document(*lines: dict[str, Any], mark: str = "", **fields: Any) -> dict[str, Any]:
    around = Surroundings(ZoneInfo("UTC"), ("Example, Inc.", "5 Broad Street"))
    return describe_invoice(invoice(*lines, **fields), around, mark=mark)


def texts(pdf: bytes) -> list[str]:
    """Return what can be selected on each page."""
    opened = pypdfium2.PdfDocument(pdf)
    try:
        return [page.get_textpage().get_text_range() for page in opened]
    finally:
        opened.close()


def ink(pdf: bytes, page: int = 0) -> float:
    """Return which share of a page's pixels is not white."""
    opened = pypdfium2.PdfDocument(pdf)
    try:
        bitmap = opened[page].render(scale=0.5, grayscale=True)
        pixels = bytes(bitmap.buffer)
        return sum(value < 200 for value in pixels) / len(pixels)
    finally:
        opened.close()
