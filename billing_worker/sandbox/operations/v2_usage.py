"""Usage through the v2 API: one event at a time, and the stream with its sessions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.identifiers import token
from billing_worker.sandbox.core.routes import Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.thin_events import iso, report_usage_errors
from billing_worker.sandbox.engine.usage import cancel_usage, record_usage

_SESSION_SECONDS = 15 * 60
"""Source: Stripe documentation, “Meter event streams”: a session lasts 15 minutes."""
_EVENTS_AT_ONCE = 100
_CODES = {
    "no_meter": "no_meter",
    "archived_meter": "archived_meter",
    "meter_event_customer_not_found": "meter_event_customer_not_found",
    "meter_event_invalid_value": "meter_event_invalid_value",
    "meter_event_no_value": "meter_event_value_not_found",
    "timestamp_too_far_in_past": "timestamp_too_far_in_past",
    "timestamp_in_future": "timestamp_in_future",
}
"""Source: the SDK's type of the event's data, error_types[].code."""


def open_session(call: Call) -> Document:
    """Open a session of the stream."""
    now = call.session.recorded_at
    return {
        "id": f"mes_test_{token(24)}",
        "object": "v2.billing.meter_event_session",
        # It has the form of a key, because the stream takes it in the place of one.
        "authentication_token": f"rk_test_{token(48)}",
        "created": iso(now),
        "expires_at": iso(now + _SESSION_SECONDS),
        "livemode": False,
    }


def record(call: Call) -> Document:
    """Take one meter event."""
    event = record_usage(call.session, _with_instant(call.params))
    return {
        "object": "v2.billing.meter_event",
        "created": iso(event["created"]),
        "event_name": event["event_name"],
        "identifier": event["identifier"],
        "livemode": False,
        "payload": dict(event["payload"]),
        "timestamp": iso(event["timestamp"]),
    }


def stream(call: Call) -> Document:
    """Take many meter events; what is wrong with them is told by thin events, not by the answer."""
    session, events = call.session, call.params["events"]
    if not 1 <= len(events) <= _EVENTS_AT_ONCE:
        raise invalid(f"A request takes 1 to {_EVENTS_AT_ONCE} events.", param="events")
    refused: dict[str, list[tuple[str, ApiError]]] = {}
    for given in events:
        try:
            record_usage(session, _with_instant(given))
        except ApiError as error:
            if error.code in _CODES:
                error.code = _CODES[error.code]
                refused.setdefault(given["event_name"], []).append((given.get("identifier", ""), error))
    for name, errors in refused.items():
        report_usage_errors(session, _meter(session, name), errors)
    return {}


def adjust(call: Call) -> Document:
    """Cancel a meter event by its identifier."""
    identifier = cancel_usage(call.session, call.params)
    return {
        "id": f"mtra_test_{token(24)}",
        "object": "v2.billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "created": iso(call.session.recorded_at),
        "event_name": call.params["event_name"],
        "livemode": False,
        "status": "complete",
        "type": "cancel",
    }


def _meter(session: Session, name: str) -> Document | None:
    return next(iter(session.peek("billing.meter", "event_name", name)), None)


def _with_instant(given: dict[str, Any]) -> dict[str, Any]:
    if "timestamp" not in given:
        return given
    try:
        at = datetime.fromisoformat(given["timestamp"])
    except ValueError as error:
        raise invalid(f"Invalid timestamp: {given['timestamp']}", param="timestamp") from error
    return given | {"timestamp": int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())}


OPERATIONS = [
    route("POST", "/v2/billing/meter_event_session", open_session),
    route("POST", "/v2/billing/meter_event_stream", stream, "events"),
    route("POST", "/v2/billing/meter_events", record, "event_name payload identifier timestamp"),
    route("POST", "/v2/billing/meter_event_adjustments", adjust, "event_name type cancel"),
]
