"""Bring in the lines of an invoice that Stripe does not embed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing_worker.domains.invoices.lines import list_lines
from billing_worker.stripe_gateway.client import StripeGateway


def complete_lines(gateway: StripeGateway, invoice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the invoice with all its lines; Stripe is asked only for one that has more than it carries.

    Raises: what the gateway raises.
    """
    embedded = invoice.get("lines") or {}
    lines = list(list_lines(invoice))
    has_more = bool(embedded.get("has_more"))
    while has_more:
        page = gateway.list_page(
            f"/v1/invoices/{invoice['id']}/lines", starting_after=str(lines[-1]["id"]) if lines else None
        )
        lines += page.data
        has_more = page.has_more and bool(page.data)
    return {**invoice, "lines": {**embedded, "data": lines, "has_more": False}}
