"""List what was, and what is going to be, billed for changes within a period of a subscription."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from billing_worker.domains.subscriptions.previews import Preview, PreviewLine, list_proration_lines, read_preview
from billing_worker.domains.subscriptions.queries import list_invoices_of
from billing_worker.domains.subscriptions.services.find_unit_amounts import find_unit_amounts
from billing_worker.stripe_gateway.client import StripeGateway


@dataclass(frozen=True, slots=True)
class Prorations:
    """Prorations of a subscription: by invoice for those that were billed, and those the next invoice will have."""

    billed: Mapping[str, tuple[PreviewLine, ...]]
    upcoming: Preview | None

    @property
    def pending(self) -> tuple[PreviewLine, ...]:
        """Return the prorations that wait for the next invoice."""
        return () if self.upcoming is None else tuple(line for line in self.upcoming.lines if line.is_proration)


def list_prorations(session: Session, gateway: StripeGateway, subscription: Mapping[str, Any]) -> Prorations:
    """Return prorations of mirrored invoices and of the next one as Stripe previews it now.

    Raises: the gateway's errors while Stripe cannot be asked.
    """
    billed = {}
    invoices = list_invoices_of(session, str(subscription["id"]))
    unit_amounts = find_unit_amounts(gateway, invoices)
    for invoice in invoices:
        lines = tuple(list_proration_lines([invoice], subscription, unit_amounts))
        if lines:
            billed[str(invoice["id"])] = lines
    if subscription.get("status") in {"canceled", "incomplete_expired", "incomplete"}:
        return Prorations(billed, None)
    upcoming = gateway.preview_invoice({"subscription": subscription["id"]}).data
    return Prorations(billed, read_preview(upcoming, subscription, find_unit_amounts(gateway, [upcoming])))
