"""When two snapshots of an object are the same: null equals absent, an expanded object equals its id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

IGNORED: Mapping[str, frozenset[str]] = {
    # present only when expanded, or different in every answer
    "*": frozenset({"last_response", "request_log_url"}),
    "customer": frozenset({"sources", "subscriptions", "tax_ids", "cash_balance", "invoice_credit_balance"}),
    "invoice": frozenset(
        {"payments", "confirmation_secret", "hosted_invoice_url", "invoice_pdf", "webhooks_delivered_at"}
    ),
    "charge": frozenset({"refunds", "receipt_url"}),
    "payment_intent": frozenset({"charges"}),
    "price": frozenset({"tiers", "currency_options"}),
    "coupon": frozenset({"applies_to", "currency_options"}),
}
"""Top-level fields that say nothing about a lost event, by type; `*` is for all."""

LIST_FIELDS = frozenset({"url", "has_more", "total_count"})
"""What an embedded list tells about itself."""

SHOWN_CHARACTERS = 120

PERSONAL = frozenset(
    {
        *("email", "name", "phone", "address", "shipping", "description", "metadata", "billing_details", "card"),
        *("customer_email", "customer_name", "customer_phone", "customer_address", "customer_shipping"),
        *("receipt_email", "individual_name", "business_name", "evidence", "footer", "custom_fields"),
    }
)
"""Fields whose values are not written down: a stored difference would outlive the erasure of its customer."""


def compare_snapshots(
    object_type: str, left: Mapping[str, Any], right: Mapping[str, Any], *, everything: bool = False
) -> dict[str, tuple[object, object]]:
    """Compare two snapshots field by field.

    Shape: field path → both values, shortened, personal ones masked. Fields that differ from answer to answer are left
    out unless `everything` is asked for.
    """
    ignored = frozenset[str]() if everything else IGNORED["*"] | IGNORED.get(object_type, frozenset())
    one = {name: value for name, value in left.items() if name not in ignored}
    other = {name: value for name, value in right.items() if name not in ignored}
    return {path: (_shown(path, a), _shown(path, b)) for path, a, b in _walk("", one, other)}


def _walk(path: str, left: object, right: object) -> Iterator[tuple[str, object, object]]:
    left, right = _as_reference(left, right), _as_reference(right, left)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        is_list = left.get("object") == "list"
        for name in sorted({*left, *right}):
            if not (is_list and name in LIST_FIELDS):
                yield from _walk(f"{path}.{name}" if path else name, left.get(name), right.get(name))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (a, b) in enumerate(zip(left, right, strict=True)):
            yield from _walk(f"{path}[{index}]", a, b)
    elif not _is_same(left, right):
        yield path, left, right


def _as_reference(value: object, other: object) -> object:
    """Reduce an expanded object to its id where the other side has the id."""
    if isinstance(value, Mapping) and isinstance(other, str) and "object" in value:
        return value.get("id")
    return value


def _is_same(left: object, right: object) -> bool:
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return left == right or (_is_void(left) and _is_void(right))


def _is_void(value: object) -> bool:
    """Say whether nothing is said: null, or a hash of nulls."""
    return value is None or (isinstance(value, Mapping) and all(_is_void(inner) for inner in value.values()))


def _shown(path: str, value: object) -> object:
    if value is not None and PERSONAL.intersection(re.split(r"[.\[]", path)):
        return "***"
    if isinstance(value, Mapping | list):
        value = str(value)
    return value[:SHOWN_CHARACTERS] if isinstance(value, str) else value
