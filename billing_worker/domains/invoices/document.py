"""An invoice as the words that stand on paper: pure, everything already text, so that a template only arranges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing_worker.domains.invoices.lines import is_overage, list_lines
from billing_worker.kernel.clock import from_unix
from billing_worker.kernel.money import decimals_of

MINUS = "\N{MINUS SIGN}"
LONGEST_TEXT = 2000

_MARKS = {"draft": "DRAFT", "void": "VOID", "uncollectible": ""}
_AMERICAN = frozenset({"US", "CA"})
"""Letter paper, and the postal code behind the state."""

_REVERSE_CHARGE = "Tax to be paid on reverse charge basis"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an invoice does not say of itself.

    Shape: `issuer` is our own name and address, line by line; `tax_rates` and `customer` as the mirror has them.
    """

    zone: ZoneInfo
    issuer: Sequence[str] = ()
    tax_rates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    customer: Mapping[str, Any] = field(default_factory=dict)


def describe_invoice(invoice: Mapping[str, Any], around: Surroundings, *, mark: str = "") -> dict[str, Any]:
    """Return the document of an invoice.

    Shape: `mark` is printed across each page; drafts and void invoices have one of their own.
    """
    currency = str(invoice["currency"])
    words = _Words(currency, around.zone)
    status = str(invoice.get("status") or "")
    number = invoice.get("number")
    address = invoice.get("customer_address") or around.customer.get("address") or {}
    return {
        "title": "Invoice",
        "number": _text(number or invoice["id"]),
        "mark": mark or _MARKS.get(status, ""),
        "timestamp": _issued_at(invoice),
        "region": _text(address.get("country") or ""),
        "page_size": _page_size(invoice, address),
        "facts": [[label, value] for label, value in _facts(invoice, words) if value],
        "seller": _seller(invoice, around),
        "customer": _customer(invoice, around, address),
        "memo": _text(invoice.get("description") or ""),
        "columns": ["Description", "Quantity", "Unit price", f"Amount ({currency.upper()})"],
        "lines": [_line(line, words) for line in list_lines(invoice)],
        "totals": [[label, value] for label, value in _totals(invoice, words, around.tax_rates)],
        "due": [_due_label(status), words.money(_due(invoice, status))],
        "notes": _notes(invoice),
        "page": _page(invoice, status),
        "footer": _text(invoice.get("footer") or ""),
    }


@dataclass(frozen=True, slots=True)
class _Words:
    """Amounts of one currency and days of one zone in words."""

    currency: str
    zone: ZoneInfo

    def figure(self, minor: Decimal | int, *, exact: bool = False) -> str:
        """Write an amount without its currency; exact ones keep fractions of the smallest unit."""
        digits = decimals_of(self.currency)
        amount = Decimal(minor).scaleb(-digits)
        exponent = amount.normalize().as_tuple().exponent
        shown = max(digits, -exponent) if exact and isinstance(exponent, int) else digits
        return f"{MINUS if amount < 0 else ''}{abs(amount):,.{shown}f}"

    def money(self, minor: int) -> str:
        return f"{self.figure(minor)} {self.currency.upper()}"

    def instant(self, seconds: int) -> datetime:
        return from_unix(seconds).astimezone(self.zone)

    def day(self, seconds: int | None) -> str:
        if seconds is None:
            return ""
        local = self.instant(seconds)
        return f"{local.day} {local:%B %Y}"

    def period(self, period: Mapping[str, Any] | None) -> str:
        starts, ends = (period or {}).get("start"), (period or {}).get("end")
        if starts is None or ends is None:
            return ""
        first, last = self.day(starts), self.day(ends)
        return first if first == last else f"{first} \N{EN DASH} {last}"


def _text(value: object) -> str:
    """Take out what no font has a sign for: control characters break lines and pages."""
    printable = "".join(one if one.isprintable() or one == "\n" else " " for one in str(value))
    return printable.strip()[:LONGEST_TEXT]


def _issued_at(invoice: Mapping[str, Any]) -> int:
    finalized = (invoice.get("status_transitions") or {}).get("finalized_at")
    return int(invoice.get("effective_at") or finalized or invoice.get("created") or 0)


def _page_size(invoice: Mapping[str, Any], address: Mapping[str, Any]) -> str:
    asked = ((invoice.get("rendering") or {}).get("pdf") or {}).get("page_size")
    if asked in {"a4", "letter"}:
        return "us-letter" if asked == "letter" else "a4"
    return "us-letter" if (address.get("country") or invoice.get("account_country")) in _AMERICAN else "a4"


def _facts(invoice: Mapping[str, Any], words: _Words) -> Iterator[tuple[str, str]]:
    transitions = invoice.get("status_transitions") or {}
    yield "Invoice number", _text(invoice.get("number") or "")
    yield "Reference", "" if invoice.get("number") else _text(invoice["id"])
    yield "Date of issue", words.day(_issued_at(invoice))
    yield "Date due", words.day(invoice.get("due_date")) if invoice.get("status") != "paid" else ""
    yield "Paid on", words.day(transitions.get("paid_at")) if invoice.get("status") == "paid" else ""
    for custom in invoice.get("custom_fields") or []:
        yield _text(custom.get("name") or ""), _text(custom.get("value") or "")


def _seller(invoice: Mapping[str, Any], around: Surroundings) -> list[str]:
    issuer = [_text(part) for part in around.issuer] or [_text(invoice.get("account_name") or "")]
    return [part for part in issuer if part]


def _customer(invoice: Mapping[str, Any], around: Surroundings, address: Mapping[str, Any]) -> list[str]:
    country = address.get("country")
    city, state, code = (_text(address.get(part) or "") for part in ("city", "state", "postal_code"))
    is_american = country in _AMERICAN
    town = f"{city}{', ' if city and state else ''}{state} {code}" if is_american else f"{code} {city}"
    parts = [
        invoice.get("customer_name") or around.customer.get("name"),
        address.get("line1"),
        address.get("line2"),
        town,
        "" if is_american else state,
        country,
        invoice.get("customer_email") or around.customer.get("email"),
        *(f"Tax ID {tax_id.get('value')}" for tax_id in invoice.get("customer_tax_ids") or []),
    ]
    return [_text(part) for part in parts if part and _text(part)]


def _line(line: Mapping[str, Any], words: _Words) -> dict[str, Any]:
    unit = (line.get("pricing") or {}).get("unit_amount_decimal")
    quantity = line.get("quantity_decimal") or line.get("quantity")
    discount = sum(int(entry.get("amount") or 0) for entry in line.get("discount_amounts") or [])
    notes = [words.period(line.get("period"))]
    if discount:
        notes.append(f"Discount {words.figure(-discount)}")
    return {
        "description": _text(line.get("description") or "Item"),
        "notes": [note for note in notes if note],
        "is_overage": is_overage(line),
        "quantity": "" if quantity is None else f"{Decimal(str(quantity)):,f}",
        "unit": "" if unit is None else words.figure(Decimal(str(unit)), exact=True),
        "amount": words.figure(int(line.get("amount") or 0)),
    }


def _totals(
    invoice: Mapping[str, Any], words: _Words, tax_rates: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    subtotal, total = int(invoice.get("subtotal") or 0), int(invoice.get("total") or 0)
    yield "Subtotal", words.figure(subtotal)
    for entry in invoice.get("total_discount_amounts") or []:
        if entry.get("amount"):
            yield _discount_label(entry), words.figure(-int(entry["amount"]))
    shipping = int((invoice.get("shipping_cost") or {}).get("amount_subtotal") or 0)
    if shipping:
        yield "Shipping", words.figure(shipping)
    for tax in invoice.get("total_taxes") or []:
        yield _tax_label(tax, words, tax_rates), words.figure(int(tax.get("amount") or 0))
    yield "Total", words.figure(total)
    credited = int(invoice.get("pre_payment_credit_notes_amount") or 0)
    if credited:
        yield "Credit notes", words.figure(-credited)
    applied = int(invoice.get("amount_due") or 0) - (total - credited)
    if applied:
        yield "Balance applied", words.figure(applied)
    if invoice.get("amount_paid") and invoice.get("status") != "paid":
        yield "Paid already", words.figure(-int(invoice["amount_paid"]))


def _discount_label(entry: Mapping[str, Any]) -> str:
    discount = entry.get("discount")
    coupon = (discount.get("source") or {}).get("coupon") if isinstance(discount, Mapping) else None
    name = coupon.get("name") if isinstance(coupon, Mapping) else None
    return _text(f"Discount ({name})" if name else "Discount")


def _tax_label(tax: Mapping[str, Any], words: _Words, tax_rates: Mapping[str, Mapping[str, Any]]) -> str:
    rate = tax_rates.get(str((tax.get("tax_rate_details") or {}).get("tax_rate")), {})
    percentage = rate.get("percentage")
    name = _text(rate.get("display_name") or "Tax")
    label = name if percentage is None else f"{name} {Decimal(str(percentage)).normalize():f} %"
    if tax.get("taxable_amount") is not None:
        label += f" on {words.figure(int(tax['taxable_amount']))}"
    return f"{label} (included)" if tax.get("tax_behavior") == "inclusive" else label


def _due(invoice: Mapping[str, Any], status: str) -> int:
    return int(invoice.get({"paid": "amount_paid", "draft": "amount_due"}.get(status, "amount_remaining")) or 0)


def _due_label(status: str) -> str:
    return "Amount paid" if status == "paid" else "Amount due"


def _notes(invoice: Mapping[str, Any]) -> list[str]:
    reasons = {tax.get("taxability_reason") for tax in invoice.get("total_taxes") or []}
    is_reversed = "reverse_charge" in reasons or invoice.get("customer_tax_exempt") == "reverse"
    return [_REVERSE_CHARGE] if is_reversed else []


def _page(invoice: Mapping[str, Any], status: str) -> str:
    page = str(invoice.get("hosted_invoice_url") or "")
    return page if status == "open" and page.startswith("https://") else ""
