"""Which types are compared, in which scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.mirror.compare import compare_snapshots
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
    """Compare two snapshots field by field.

    Shape: field path → {"stripe", "here"}, values shortened, personal ones masked.
    """
    found = compare_snapshots(object_type, stripe, here)
    return {path: {"stripe": a, "here": b} for path, (a, b) in found.items()}
