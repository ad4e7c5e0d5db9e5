"""Read a delivery's bytes into the row they become: pure, and total over every input a valid signature can carry.

What cannot be understood is not refused but kept: Stripe has delivered it, and would deliver it again for days.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from billing_worker.inbox.states import EventStatus, Source
from billing_worker.kernel.clock import from_unix
from billing_worker.kernel.keys import lane_of
from billing_worker.mirror.keys import THIN_EVENT, ObjectRef, account_of, key_of

MAX_DEPTH = 64
"""Stripe's deepest objects nest below 20; the JSON parser recurses per level, so the bound comes before it."""

MAX_NAME = 255
"""Stripe's ids are at most 255 characters; an index row of PostgreSQL cannot hold 2,700."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_SUSPECT_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_NAME = re.compile(r"[!-~]+")
"""Printable ASCII without blanks: what ids and type names are made of."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row to be: an event as delivered, or bytes kept for a person to look at.

    Shape: `created` None means the time of receipt; `status` is pending or quarantined, the latter with a `reason`.
    """

    event_id: str
    body: bytes
    account_id: str = ""
    type: str = ""
    api_version: str = ""
    source: Source = Source.WEBHOOK
    object_type: str = ""
    object_id: str = ""
    object_key: str = ""
    customer_id: str | None = None
    lane: int = 0
    created: datetime | None = None
    observed_at: datetime | None = None
    status: EventStatus = EventStatus.PENDING
    reason: str = ""
    detail: str = ""


class _UnreadableError(ValueError):
    """The body cannot become an event."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def read_delivery(body: bytes, *, livemode: bool, source: Source = Source.WEBHOOK) -> Delivery:
    """Read one body whose origin is proven.

    Shape: quarantined with a reason when it is not JSON, misses a required key, cannot be stored as jsonb, or belongs
    to the other mode. What has no trustworthy id is kept under the digest of its bytes, so that a good event with the
    same id later is not taken for its duplicate.
    """
    try:
        event = _parse(body)
        delivery = _read_event(event, body, source)
    except _UnreadableError as error:
        return keep_bytes(body, reason=error.reason, detail=error.detail, source=source)
    if _has_unstorable_text(body, event):
        return replace(delivery, status=EventStatus.QUARANTINED, reason="unstorable_text")
    if event["livemode"] is not livemode:
        detail = f"event has livemode={json.dumps(event['livemode'])}"
        return replace(delivery, status=EventStatus.QUARANTINED, reason="other_mode", detail=detail)
    return delivery


def keep_bytes(body: bytes, *, reason: str, detail: str = "", source: Source = Source.WEBHOOK) -> Delivery:
    """Make the quarantined row of bytes that nothing else can be said about."""
    return Delivery(
        event_id=f"unreadable_{sha256(body).hexdigest()}",
        body=body,
        source=source,
        status=EventStatus.QUARANTINED,
        reason=reason,
        detail=detail,
    )


def _parse(body: bytes) -> Mapping[str, Any]:
    if _depth_exceeds(body, MAX_DEPTH):
        raise _UnreadableError("too_deep", f"nested deeper than {MAX_DEPTH} levels")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _UnreadableError("invalid_utf8", f"at byte {error.start}") from None
    try:
        event = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except ValueError as error:  # JSONDecodeError, and integers of more than 4,300 digits
        raise _UnreadableError("invalid_json", str(error)[:200]) from None
    if not isinstance(event, dict):
        raise _UnreadableError("not_an_object", f"the body is a JSON {type(event).__name__}")
    return event


def _depth_exceeds(body: bytes, limit: int) -> bool:
    if body.count(b"{") + body.count(b"[") <= limit:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            return True
    return False


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _read_event(event: Mapping[str, Any], body: bytes, source: Source) -> Delivery:
    kind = event.get("object")
    if kind not in ("event", THIN_EVENT):
        raise _UnreadableError("not_an_event", "the key object is not 'event'")
    event_id, event_type = _name(event, "id"), _name(event, "type")
    if not isinstance(event.get("livemode"), bool):
        raise _UnreadableError("missing_key", f"{event_id}: livemode is not true or false")
    created = _created(event.get("created"), event_id, thin=kind == THIN_EVENT)
    found = key_of(event)
    if kind == THIN_EVENT:
        # It holds no state and waits for a fetch: under a key of its own, so that its object does not wait with it.
        found = ObjectRef(account_of(event), THIN_EVENT, event_id, None if found is None else found.customer_id)
    if found is None:
        raise _UnreadableError("missing_key", f"{event_id}: data.object is no Stripe object")
    _check_reference(found, event_id)
    return Delivery(
        event_id=event_id,
        body=body,
        account_id=found.account_id,
        type=event_type,
        api_version=_api_version(event.get("api_version")),
        source=source,
        object_type=found.object_type,
        object_id=found.object_id,
        object_key=found.object_key,
        customer_id=found.customer_id,
        lane=lane_of(found.object_key),
        created=created,
    )


def _name(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    if value is None:
        raise _UnreadableError("missing_key", f"the event has no {key}")
    if not isinstance(value, str) or len(value) > MAX_NAME or not _NAME.fullmatch(value):
        raise _UnreadableError("malformed_key", f"the event's {key} is no Stripe name")
    return value


def _created(value: object, event_id: str, *, thin: bool) -> datetime:
    try:
        if thin and isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return from_unix(value)
    except (OverflowError, ValueError, OSError):
        raise _UnreadableError("malformed_key", f"{event_id}: created is no time") from None
    raise _UnreadableError("missing_key" if value is None else "malformed_key", f"{event_id}: created is no time")


def _check_reference(found: ObjectRef, event_id: str) -> None:
    # An object key is split at its first two slashes, so neither part before them may hold one.
    for part in (found.account_id, found.object_type):
        if part and ("/" in part or not _NAME.fullmatch(part)):
            raise _UnreadableError("malformed_key", f"{event_id}: account or object type is no Stripe name")
    for part in (found.account_id, found.object_type, found.object_id, found.customer_id or ""):
        if len(part) > MAX_NAME or not part.isprintable():
            raise _UnreadableError("malformed_key", f"{event_id}: an id is too long or not printable")


def _api_version(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= MAX_NAME and value.isprintable() else ""


def _has_unstorable_text(body: bytes, event: Mapping[str, Any]) -> bool:
    """Look for NUL and unpaired surrogates, which jsonb refuses; the walk is rare, the pattern comes first."""
    if not _SUSPECT_ESCAPE.search(body.decode()):
        return False
    waiting: list[object] = [event]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
                return True
        elif isinstance(value, dict):
            waiting.extend(value.keys())
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return False
