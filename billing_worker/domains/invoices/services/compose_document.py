"""Put an invoice into the words that stand on paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from billing_worker.domains.invoices.document import Surroundings, describe_invoice
from billing_worker.mirror.objects import find_object
from billing_worker.mirror.registry import REGISTRY
from billing_worker.runtime.settings import Settings


def compose_document(
    session: Session, invoice: Mapping[str, Any], settings: Settings, *, mark: str = ""
) -> dict[str, Any]:
    """Return an invoice's document; names of tax rates and of the customer come from the mirror."""
    rates = {str((tax.get("tax_rate_details") or {}).get("tax_rate")) for tax in invoice.get("total_taxes") or []}
    around = Surroundings(
        zone=settings.billing_timezone,
        issuer=[part.strip() for part in settings.pdf_issuer.split("|") if part.strip()],
        tax_rates={rate: data for rate in sorted(rates) if (data := _find(session, "tax_rate", rate)) is not None},
        customer=_find(session, "customer", str(invoice.get("customer"))) or {},
    )
    return describe_invoice(invoice, around, mark=mark)


def _find(session: Session, object_type: str, object_id: str) -> Mapping[str, Any] | None:
    found = find_object(session, object_type, object_id) if object_type in REGISTRY else None
    return None if found is None else found.data
