"""Tax rates applied to the lines of an invoice."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.session import Session

_PERCENT = 100


def named_rates(session: Session, ids: list[str] | str | None) -> list[Document]:
    """Turn `default_tax_rates` parameters into the rates themselves.

    Raises: ApiError for a rate that is missing.
    """
    return [public(session.get("tax_rate", rate_id, param="default_tax_rates[0]")) for rate_id in ids or []]


def put_taxes(rates: list[Document], lines: list[Document], *, kept: int, subtotal: int) -> list[Document]:
    """Tax every line, and add the taxes up per rate.

    Shape: `kept` is what discounts leave of the subtotal; each line is taxed on its share of that.
    """
    for entry in lines:
        taxable = entry["amount"] * kept // subtotal if subtotal else 0
        entry["taxes"] = [_tax(rate, taxable) for rate in rates]
    return [_added([entry["taxes"][index] for entry in lines]) for index in range(len(rates)) if lines]


def amount_with(total_taxes: list[Document], behavior: str) -> int:
    """Add up the taxes that are on top of prices (`exclusive`) or in them (`inclusive`)."""
    return sum(tax["amount"] for tax in total_taxes if tax["tax_behavior"] == behavior)


def _tax(rate: Document, taxable: int) -> Document:
    percentage = Decimal(str(rate["percentage"]))
    base = percentage + _PERCENT if rate["inclusive"] else Decimal(_PERCENT)
    amount = int((taxable * percentage / base).quantize(Decimal(1), ROUND_HALF_UP))
    return {
        "amount": amount,
        "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
        "tax_rate_details": {"tax_rate": rate["id"]},
        "taxability_reason": "not_available",
        "taxable_amount": taxable - amount if rate["inclusive"] else taxable,
        "type": "tax_rate_details",
    }


def _added(taxes: list[Document]) -> Document:
    return taxes[0] | {
        "amount": sum(tax["amount"] for tax in taxes),
        "taxable_amount": sum(tax["taxable_amount"] for tax in taxes),
    }
