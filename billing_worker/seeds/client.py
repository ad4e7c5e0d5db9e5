"""The calls that test data needs: a new key for each change, lists walked to their end, the mark on what is made."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.stripe_gateway.operations import operation_named

MARK = "nself_seed"
"""The metadata key of everything made here; its value says by what."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How much was made, and how much was there already."""

    created: int
    found: int


class SeedClient:
    """Calls Stripe through the gateway."""

    def __init__(self, gateway: StripeGateway) -> None:
        self._gateway = gateway

    def change(self, operation: str, params: Mapping[str, Any] | None = None, *, id: str = "") -> dict[str, Any]:  # noqa: A002 - Stripe's placeholder
        """Carry out an operation, once.

        Raises: what StripeGateway.call raises.
        """
        ids = {"id": id} if id else {}
        key = f"nself-seed-{uuid.uuid4()}"
        return self._gateway.call(operation_named(operation), params or {}, idempotency_key=key, path_ids=ids).data

    def walk(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - Stripe's parameters
        """Walk a list from the newest to the oldest."""
        after: str | None = None
        while True:
            page = self._gateway.list_page(path, params=params, starting_after=after)
            yield from page.data
            if not page.has_more or not page.data:
                return
            after = str(page.data[-1]["id"])

    def walk_marked(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - Stripe's parameters
        """Walk what was made here."""
        return (found for found in self.walk(path, **params) if MARK in (found.get("metadata") or {}))

    def make_customer(self, name: str, card: str | None, mark: str) -> str:
        """Create a customer, with a card as its default, and give its id."""
        user = f"{mark}-{name}"
        fields = {"name": name.capitalize(), "email": f"{name}@example.com", "metadata": {MARK: mark, "user_id": user}}
        customer = self.change("customers.create", fields)
        if card is not None:
            method = self.change("payment_methods.attach", {"customer": customer["id"]}, id=card)
            default = {"invoice_settings": {"default_payment_method": method["id"]}}
            self.change("customers.update", default, id=customer["id"])
        return str(customer["id"])

    def make_invoice(self, customer: str, amount_minor: int, mark: str, *, pays: bool, by_mail: bool) -> None:
        """Create an invoice over one item, finalise it, and pay it when told."""
        marked = {"customer": customer, "metadata": {MARK: mark}}
        item = {"amount": amount_minor, "currency": "usd", "description": "Set-up"}
        self.change("invoiceitems.create", marked | item)
        how: dict[str, Any] = {"collection_method": "send_invoice", "days_until_due": 14} if by_mail else {}
        how |= {"pending_invoice_items_behavior": "include", "auto_advance": False}
        invoice = self.change("invoices.create", marked | how)
        self.change("invoices.finalize", id=invoice["id"])
        if pays:
            self.change("invoices.pay", id=invoice["id"])
