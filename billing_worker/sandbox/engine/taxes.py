"""Tax rates applied to the lines of an invoice."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.session import Session

_PERCENT = 100
_REASONS = {"exempt": "customer_exempt", "reverse": "reverse_charge"}
"""Why a customer pays no tax, by the customer's `tax_exempt`."""


def named_rates(
    session: Session, ids: list[str] | str | None, param: str = "default_tax_rates", *, offset: int = 0
) -> list[Document]:
    """Turn tax rate parameters into the rates themselves.

    Raises: ApiError for a rate that is missing or archived, and for two rates that disagree about being inclusive.
    """
    rates = [
        public(session.get("tax_rate", rate_id, param=f"{param}[{index + offset}]"))
        for index, rate_id in enumerate(ids or [])
    ]
    for rate in rates:
        if not rate["active"]:
            raise invalid(f"The tax rate {rate['id']} is archived: only active tax rates can be added.", param=param)
    if len({rate["inclusive"] for rate in rates}) > 1:
        raise invalid("You cannot combine inclusive and exclusive tax rates.", param=param)
    return rates


def put_taxes(
    rates_of: Mapping[str, list[Document]], default: list[Document], lines: list[Document], *, exempt: str
) -> list[Document]:
    """Tax every line on what discounts leave of it, and add the taxes up per rate.

    Shape: `rates_of` has the lines with rates of their own, which take the place of the invoice's; `exempt` is the
    customer's `tax_exempt`.
    """
    for entry in lines:
        taxable = entry["amount"] - sum(taken["amount"] for taken in entry["discount_amounts"])
        rates = rates_of.get(entry["id"]) or default
        entry["taxes"] = _taxes(rates, taxable, _REASONS.get(exempt))
    return sum_taxes([tax for entry in lines for tax in entry["taxes"]])


def sum_taxes(taxes: list[Document]) -> list[Document]:
    """Add taxes up per rate."""
    totals: dict[str, Document] = {}
    for tax in taxes:
        rate_id = tax["tax_rate_details"]["tax_rate"]
        totals[rate_id] = _sum(totals[rate_id], tax) if rate_id in totals else dict(tax)
    return list(totals.values())


def amount_with(total_taxes: list[Document], behavior: str) -> int:
    """Add up the taxes that are on top of prices (`exclusive`) or in them (`inclusive`)."""
    return sum(tax["amount"] for tax in total_taxes if tax["tax_behavior"] == behavior)


def _taxes(rates: list[Document], taxable: int, reason: str | None) -> list[Document]:
    percentages = [Decimal(str(rate["percentage"])) for rate in rates]
    inclusive = bool(rates) and rates[0]["inclusive"]
    # Several inclusive rates are in one price together, so that each takes its part of the same net amount.
    base = Decimal(_PERCENT) + (sum(percentages) if inclusive else 0)
    amounts = [0 if reason else _rounded(taxable * percentage / base) for percentage in percentages]
    net = taxable - sum(amounts) if inclusive else taxable
    return [
        {
            "amount": amount,
            "tax_behavior": "inclusive" if inclusive else "exclusive",
            "tax_rate_details": {"tax_rate": rate["id"]},
            "taxability_reason": reason or "not_available",
            "taxable_amount": net,
            "type": "tax_rate_details",
        }
        for rate, amount in zip(rates, amounts, strict=True)
    ]


def _sum(one: Document, other: Document) -> Document:
    return one | {name: one[name] + other[name] for name in ("amount", "taxable_amount")}


def _rounded(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
