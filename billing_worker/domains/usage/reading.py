"""Reading usage records as other programs write them: the same shape over HTTP and in messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from billing_worker.domains.usage.errors import InvalidUsageError, MissingKeyError, UsageError
from billing_worker.domains.usage.rules import UsageRecord

VERSION = 1
"""Of the shape below; fields are only ever added."""

EXAMPLE = {
    "user": "user123",
    "metric": "api_calls",
    "value": 2,
    "at": "2026-01-15T12:00:00Z",
    "idempotency_key": "order-1042-item-3",
}
FIELDS = frozenset({*EXAMPLE, "unique_key"})


class ReadRecords(NamedTuple):
    """Records and what could not be read.

    Shape: `positions` are the places of `records` among the items; the others are in `errors`.
    """

    records: Sequence[UsageRecord]
    positions: Sequence[int]
    errors: dict[int, UsageError]


def read_records(items: Sequence[Any], *, keyless: bool, version: int = VERSION) -> ReadRecords:
    """Read every item by itself; a bad one takes no other with it.

    Raises: InvalidUsageError for a version that this release does not know.
    """
    if version != VERSION:
        raise InvalidUsageError("version", f"{version} is not known to this release; write {VERSION}")
    records: list[UsageRecord] = []
    positions: list[int] = []
    errors: dict[int, UsageError] = {}
    for position, item in enumerate(items):
        record = _read_record(item, keyless=keyless)
        if isinstance(record, UsageError):
            errors[position] = record
        else:
            records.append(record)
            positions.append(position)
    return ReadRecords(records, positions, errors)


def _read_record(item: Any, *, keyless: bool) -> UsageRecord | UsageError:  # noqa: ANN401 - whatever JSON brought
    if isinstance(item, UsageError):
        return item
    if not isinstance(item, dict):
        return InvalidUsageError("record", "must be an object")
    if not item.keys() <= FIELDS:
        return InvalidUsageError("record", f"unknown fields {sorted(item.keys() - FIELDS)}; known: {sorted(FIELDS)}")
    moment = item.get("at")
    if moment is not None:
        try:
            moment = datetime.fromisoformat(moment)
        except (ValueError, TypeError):
            return InvalidUsageError("at", f"{moment!r} is no time; write for example 2026-01-15T12:00:00Z")
    key = item.get("idempotency_key")
    if key is None and not keyless:
        return MissingKeyError()
    return UsageRecord(item.get("user"), item.get("metric"), item.get("value"), moment, item.get("unique_key"), key)  # type: ignore[arg-type] # the service checks them
