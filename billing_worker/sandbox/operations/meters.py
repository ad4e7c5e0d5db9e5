"""Meters, their events and their summaries."""

from __future__ import annotations

from decimal import Decimal

from billing_worker.sandbox.core.documents import Document, list_of
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import listing, retrieve
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.routes import CURSOR, Call, route
from billing_worker.sandbox.engine.prices import meter_value
from billing_worker.sandbox.engine.usage import cancel_usage, record_usage, shown_event

_WINDOWS = {"hour": 3600, "day": 86_400}


def create_meter(call: Call) -> Document:
    """Create a meter."""
    session, params = call.session, call.params
    if any(meter["status"] == "active" for meter in session.peek("billing.meter", "event_name", params["event_name"])):
        raise invalid(f"An active meter with the event name {params['event_name']} already exists.", param="event_name")
    mapping = params.get("customer_mapping") or {"event_payload_key": "stripe_customer_id", "type": "by_id"}
    return session.add(
        {
            "id": new_id("billing.meter"),
            "object": "billing.meter",
            "created": session.now,
            "customer_mapping": mapping,
            "default_aggregation": params["default_aggregation"],
            "display_name": params["display_name"],
            "event_name": params["event_name"],
            "event_time_window": params.get("event_time_window"),
            "livemode": False,
            "status": "active",
            "status_transitions": {"deactivated_at": None},
            "updated": session.now,
            "value_settings": params.get("value_settings") or {"event_payload_key": "value"},
        },
        "billing.meter.created",
    )


def update_meter(call: Call) -> Document:
    """Rename a meter."""
    meter = call.session.get("billing.meter", call.id)
    if "display_name" in call.params:
        meter |= {"display_name": call.params["display_name"], "updated": call.session.now}
    call.session.tell_changes(meter)
    return meter


def deactivate(call: Call) -> Document:
    """Stop a meter."""
    meter = call.session.get("billing.meter", call.id)
    meter |= {"status": "inactive", "updated": call.session.now}
    meter["status_transitions"] = {"deactivated_at": call.session.now}
    call.session.tell("billing.meter.deactivated", meter)
    return meter


def reactivate(call: Call) -> Document:
    """Let a meter count again."""
    meter = call.session.get("billing.meter", call.id)
    meter |= {"status": "active", "updated": call.session.now, "status_transitions": {"deactivated_at": None}}
    call.session.tell("billing.meter.reactivated", meter)
    return meter


def record(call: Call) -> Document:
    """Record usage; an identifier is taken once in 24 hours.

    Idempotent by: identifier.
    """
    return shown_event(record_usage(call.session, call.params))


def adjust(call: Call) -> Document:
    """Cancel a meter event by its identifier."""
    identifier = cancel_usage(call.session, call.params)
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": call.params["event_name"],
        "livemode": False,
        "status": "complete",
        "type": "cancel",
    }


def summaries(call: Call) -> Document:
    """Sum up a customer's usage over a time, or over its hours or days."""
    session, params = call.session, call.params
    meter = session.get("billing.meter", call.id)
    start, end = params["start_time"], params["end_time"]
    if start % 60 or end % 60 or start >= end:
        raise invalid("start_time and end_time must be aligned with minute boundaries, in order.", param="start_time")
    window = params.get("value_grouping_window")
    if window is not None and window not in _WINDOWS:
        raise invalid("Invalid value_grouping_window: must be one of day or hour", param="value_grouping_window")
    step = _WINDOWS.get(window or "", end - start)
    url = f"/v1/billing/meters/{call.id}/event_summaries"
    found = []
    for begin in range(start, end, step):
        period = (begin, min(begin + step, end))
        value = meter_value(session, meter, params["customer"], period)
        if value or window is None:
            found.append(_summary(meter, period, value))
    if window is None:
        return list_of(found, url)
    return page(reversed(found), params, url)


def _summary(meter: Document, period: tuple[int, int], value: Decimal) -> Document:
    return {
        "id": f"mtrusg_test_{meter['id'][-8:]}_{period[0]}_{period[1]}",
        "object": "billing.meter_event_summary",
        "aggregated_value": float(value),
        "end_time": period[1],
        "livemode": False,
        "meter": meter["id"],
        "start_time": period[0],
    }


OPERATIONS = [
    route(
        "POST",
        "/v1/billing/meters",
        create_meter,
        "display_name event_name default_aggregation customer_mapping value_settings event_time_window",
    ),
    route("GET", "/v1/billing/meters", listing("billing.meter", "/v1/billing/meters", "status"), f"{CURSOR} status"),
    route("GET", "/v1/billing/meters/{id}", retrieve("billing.meter")),
    route("POST", "/v1/billing/meters/{id}", update_meter, "display_name"),
    route("POST", "/v1/billing/meters/{id}/deactivate", deactivate),
    route("POST", "/v1/billing/meters/{id}/reactivate", reactivate),
    route(
        "GET",
        "/v1/billing/meters/{id}/event_summaries",
        summaries,
        "customer start_time end_time value_grouping_window limit starting_after ending_before",
    ),
    route("POST", "/v1/billing/meter_events", record, "event_name payload identifier timestamp"),
    route("POST", "/v1/billing/meter_event_adjustments", adjust, "event_name type cancel"),
]
