"""Reading usage records out of a request: one object, an array, or one object a line."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from billing_worker.domains.usage.errors import InvalidUsageError
from billing_worker.domains.usage.reading import EXAMPLE, ReadRecords, read_records
from billing_worker.http_api.answers import ApiError, parse_json

MAX_ITEMS = 10_000
"""More in one commit gain nothing, and everybody else waits for them."""

NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


class ReadRequest(NamedTuple):
    """The records of a request, and whether it was one record alone."""

    read: ReadRecords
    is_single: bool


def read_request(body: bytes, *, content_type: str, header_key: str | None, keyless: bool) -> ReadRequest:
    """Read every item by itself; a bad one takes no other with it.

    Raises: ApiError for a body that holds no items, too many, or a header that fits none.
    """
    items, is_single = _read_items(body, content_type)
    if len(items) > MAX_ITEMS:
        raise ApiError(413, "too_many_records", f"{len(items)} records in one request; at most {MAX_ITEMS}")
    if header_key is not None:
        items = [_with_header_key(items[0] if is_single else None, header_key)]
    return ReadRequest(read_records(items, keyless=keyless), is_single)


def _read_items(body: bytes, content_type: str) -> tuple[list[Any], bool]:
    if content_type in NDJSON:
        items = _read_lines(body)
    else:
        value = parse_json(body, EXAMPLE)
        if isinstance(value, dict):
            return [value], True
        if not isinstance(value, list):
            raise ApiError(400, "invalid_body", "the body must be one record, or an array of records", EXAMPLE)
        items = value
    if not items:
        raise ApiError(400, "no_records", "the body holds no record", EXAMPLE)
    return items, False


def _read_lines(body: bytes) -> list[Any]:
    lines = [line for line in body.splitlines() if line.strip()]
    try:
        items = json.loads(b"[" + b",".join(lines) + b"]")  # three times as fast as line by line
    except (ValueError, RecursionError):
        items = None
    if isinstance(items, list) and len(items) == len(lines):
        return items
    return [_read_line(line) for line in lines]


def _read_line(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return InvalidUsageError("record", f"{line[:40]!r} is not JSON")


def _with_header_key(item: object, header_key: str) -> object:
    if not isinstance(item, dict):
        raise ApiError(
            400, "header_key_of_batch", "Idempotency-Key is for one record; in a batch each record has its own", EXAMPLE
        )
    if item.setdefault("idempotency_key", header_key) != header_key:
        raise ApiError(400, "two_keys", "the header Idempotency-Key and the record's idempotency_key differ")
    return item
