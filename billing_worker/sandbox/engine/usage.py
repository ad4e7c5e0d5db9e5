"""Usage as it is reported: meter events, taken once and cancelled once."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from billing_worker.sandbox.core.documents import Document, clone
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.identifiers import token
from billing_worker.sandbox.core.session import Session

_BACK_SECONDS = 35 * 86_400
_AHEAD_SECONDS = 300
"""Source: Stripe API reference, meter event timestamp: 35 days back, 5 minutes ahead."""
_UNIQUE_SECONDS = 86_400
"""Source: the same: an identifier is unique for at least 24 hours."""
_CANCEL_SECONDS = 86_400
"""Source: Stripe API reference, meter event adjustments: within 24 hours of receipt."""


def record_usage(session: Session, params: dict[str, Any]) -> Document:
    """Take one meter event.

    Idempotent by: identifier.
    Raises: ApiError for what Stripe refuses at once.
    """
    identifier = params.get("identifier") or token(32)
    event_id = f"mtrevt_{identifier}"
    known = session.store.find("billing.meter_event", event_id)
    if known is not None and session.recorded_at - known["created"] < _UNIQUE_SECONDS:
        raise invalid(
            f"An event already exists with identifier {identifier}.", param="identifier", code="duplicate_meter_event"
        )
    meter = active_meter(session, params["event_name"])
    payload = params["payload"]
    customer_id = payload.get(meter["customer_mapping"]["event_payload_key"])
    if customer_id is None or session.find("customer", customer_id) is None:
        raise invalid("The payload names no existing customer.", param="payload", code="meter_event_customer_not_found")
    at = params.get("timestamp", session.now)
    if not session.now - _BACK_SECONDS <= at <= session.now + _AHEAD_SECONDS:
        raise invalid(
            "The timestamp must be within the past 35 calendar days or up to 5 minutes in the future.",
            param="timestamp",
            code="timestamp_too_far_in_past" if at < session.now else "timestamp_in_future",
        )
    return session.add(
        {
            # An identifier may come again after a day; what it named before keeps counting.
            "id": event_id if known is None else f"{event_id}_{token(8)}",
            "object": "billing.meter_event",
            "created": session.recorded_at,
            "event_name": params["event_name"],
            "identifier": identifier,
            "livemode": False,
            "payload": payload,
            "timestamp": at,
            "_meter_customer": f"{meter['id']}/{customer_id}",
            "_value": _value(meter, payload),
        }
    )


def shown_event(event: Document) -> Document:
    """Give a meter event as the API shows it."""
    return {key: clone(value) for key, value in event.items() if key != "id" and not key.startswith("_")}


def cancel_usage(session: Session, params: dict[str, Any]) -> str:
    """Cancel a meter event, and give its identifier.

    Raises: ApiError for an event that is missing, cancelled, or older than 24 hours.
    """
    identifier = (params.get("cancel") or {}).get("identifier", "")
    event = session.get("billing.meter_event", f"mtrevt_{identifier}", param="cancel[identifier]")
    if event.get("_is_cancelled", False):
        raise invalid("This meter event is already cancelled.", param="cancel[identifier]")
    if session.recorded_at - event["created"] > _CANCEL_SECONDS:
        raise invalid(
            "Meter events can only be cancelled within 24 hours of receiving them.", param="cancel[identifier]"
        )
    if event["event_name"] != params["event_name"]:
        raise invalid(f"The event {identifier} is not a {params['event_name']} one.", param="event_name")
    event["_is_cancelled"] = True
    return str(identifier)


def active_meter(session: Session, name: str) -> Document:
    """Find the meter that counts events of a name.

    Raises: ApiError when there is none.
    """
    meters = session.peek("billing.meter", "event_name", name)
    if not meters:
        raise ApiError(f"No active meter found for event name {name}.", param="event_name", code="no_meter")
    active = next((meter for meter in meters if meter["status"] == "active"), None)
    if active is None:
        raise ApiError(f"The meter for event name {name} is archived.", param="event_name", code="archived_meter")
    return active


def _value(meter: Document, payload: Document) -> str:
    key = meter["value_settings"]["event_payload_key"]
    if meter["default_aggregation"]["formula"] == "count":
        return "1"
    if key not in payload:
        raise invalid(f"The payload has no {key}.", param="payload", code="meter_event_no_value")
    try:
        value = Decimal(payload[key])
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value != int(value):
        raise invalid(f"The payload's {key} must be a whole number.", param="payload", code="meter_event_invalid_value")
    return str(value)
