"""Which types are compared, and when two snapshots of an object are the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.mirror.registry import REGISTRY

DEFAULT_TYPES = (
    *("customer", "product", "price", "coupon", "subscription", "invoice", "invoiceitem", "invoice_payment"),
    *("setup_intent", "payment_intent", "charge", "refund", "dispute", "billing.meter"),
)
"""In the order in which they refer to each other. The rest of the registry is compared when it is named."""

SILENT_TYPES = frozenset({"invoiceitem", "invoice_payment", "setup_intent", "balance_transaction"})
"""Stripe sends no event for some of their changes: they are refreshed, and are no sign of a lost event."""

WITHOUT_CREATED_FILTER = frozenset({"billing.meter", "webhook_endpoint", "credit_note"})

LIST_PARAMS: Mapping[str, Mapping[str, str]] = {"subscription": {"status": "all"}}
"""What a list leaves out unless asked for."""

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


@dataclass(frozen=True, slots=True)
class Scope:
    """What one run compares.

    Units: `start` (inclusive) and `end` (exclusive) bound the objects' creation, None leaves it open.
    Shape: without `heals` differences are recorded and nothing is sent to the mirror.
    """

    types: tuple[str, ...] = DEFAULT_TYPES
    start: datetime | None = None
    end: datetime | None = None
    batch_size: int = 100
    heals: bool = True

    def stored(self) -> dict[str, Any]:
        """Return the scope as its run keeps it."""
        return {
            "types": list(self.types),
            "start": self.start.isoformat() if self.start else None,
            "end": self.end.isoformat() if self.end else None,
            "batch_size": self.batch_size,
            "heals": self.heals,
        }

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Scope:
        """Build the scope of a stored run."""
        start, end = stored["start"], stored["end"]
        return cls(
            tuple(stored["types"]),
            datetime.fromisoformat(start) if start else None,
            datetime.fromisoformat(end) if end else None,
            int(stored["batch_size"]),
            bool(stored["heals"]),
        )

    def list_params(self, object_type: str) -> dict[str, Any]:
        """Return the parameters of a type's list."""
        created: dict[str, int] = {}
        if self.start is not None:
            created["gte"] = int(self.start.timestamp())
        if self.end is not None:
            created["lt"] = int(self.end.timestamp())
        params: dict[str, Any] = dict(LIST_PARAMS.get(object_type, {}))
        return params | ({"created": created} if created and object_type not in WITHOUT_CREATED_FILTER else {})

    def next_type(self, object_type: str) -> str | None:
        """Return the type that comes after another one, None at the end."""
        following = self.types[self.types.index(object_type) + 1 :]
        return following[0] if following else None


def scope_of_days(
    types: Sequence[str], start: date | None, end: date | None, *, zone: ZoneInfo, batch_size: int, heals: bool
) -> Scope:
    """Build the scope an operator means: whole local days, the last one included.

    Raises: InvalidValueError for types that cannot be listed.
    """
    return Scope(
        types=check_types(types or DEFAULT_TYPES),
        start=None if start is None else datetime.combine(start, time.min, tzinfo=zone),
        end=None if end is None else datetime.combine(end + timedelta(days=1), time.min, tzinfo=zone),
        batch_size=batch_size,
        heals=heals,
    )


def check_types(names: Sequence[str]) -> tuple[str, ...]:
    """Check that types can be listed at Stripe.

    Raises: InvalidValueError naming those that can.
    """
    listable = sorted(name for name, entry in REGISTRY.items() if entry.path is not None)
    unknown = [name for name in names if name not in listable]
    if unknown or not names:
        raise InvalidValueError(
            f"cannot list {', '.join(unknown) or 'nothing'} at Stripe; one of {', '.join(listable)}"
        )
    return tuple(names)


def compute_differences(object_type: str, stripe: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    """Compare two snapshots field by field: null equals absent, an expanded object equals its id.

    Shape: field path → {"stripe", "here"}, values shortened, personal ones masked.
    """
    ignored = IGNORED["*"] | IGNORED.get(object_type, frozenset())
    left = {name: value for name, value in stripe.items() if name not in ignored}
    right = {name: value for name, value in here.items() if name not in ignored}
    return {path: {"stripe": _shown(path, a), "here": _shown(path, b)} for path, a, b in _walk("", left, right)}


def _walk(path: str, stripe: object, here: object) -> Iterator[tuple[str, object, object]]:
    stripe, here = _as_reference(stripe, here), _as_reference(here, stripe)
    if isinstance(stripe, Mapping) and isinstance(here, Mapping):
        is_list = stripe.get("object") == "list"
        for name in sorted({*stripe, *here}):
            if not (is_list and name in LIST_FIELDS):
                yield from _walk(f"{path}.{name}" if path else name, stripe.get(name), here.get(name))
    elif isinstance(stripe, list) and isinstance(here, list) and len(stripe) == len(here):
        for index, (a, b) in enumerate(zip(stripe, here, strict=True)):
            yield from _walk(f"{path}[{index}]", a, b)
    elif not _is_same(stripe, here):
        yield path, stripe, here


def _as_reference(value: object, other: object) -> object:
    """Reduce an expanded object to its id where the other side has the id."""
    if isinstance(value, Mapping) and isinstance(other, str) and "object" in value:
        return value.get("id")
    return value


def _is_same(stripe: object, here: object) -> bool:
    if isinstance(stripe, bool) != isinstance(here, bool):
        return False
    return stripe == here or (_is_void(stripe) and _is_void(here))


def _is_void(value: object) -> bool:
    """Say whether nothing is said: null, or a hash of nulls."""
    return value is None or (isinstance(value, Mapping) and all(_is_void(inner) for inner in value.values()))


def _shown(path: str, value: object) -> object:
    if value is not None and PERSONAL.intersection(re.split(r"[.\[]", path)):
        return "***"
    if isinstance(value, Mapping | list):
        value = str(value)
    return value[:SHOWN_CHARACTERS] if isinstance(value, str) else value
