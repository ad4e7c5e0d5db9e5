"""Thin events of the v2 API: the whole event is fetched, the delivery only names it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import ApiError
from billing_worker.sandbox.core.identifiers import token
from billing_worker.sandbox.core.session import Session

KIND = "v2.core.event"
NO_METER = "v1.billing.meter.no_meter_found"
METER_ERRORS = "v1.billing.meter.error_report_triggered"
PING = "v2.core.event_destination.ping"
_SHOWN = ("id", "object", "context", "created", "livemode", "type", "related_object")


def iso(instant: int) -> str:
    """Write an instant as the v2 API does."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def add_event(session: Session, kind: str, data: Document | None, related: Document | None) -> Document:
    """Record a thin event, and announce it to the destinations that want its kind."""
    now = session.recorded_at
    event: Document = {
        "id": f"evt_test_{token(24)}",
        "object": KIND,
        "changes": None,
        "context": None,
        "created": iso(now),
        "livemode": False,
        "reason": None,
        "type": kind,
        "_created": now,
    }
    if related is not None:
        event["related_object"] = related
    if data is not None:
        event["data"] = data
    session.add(event)
    session.notices.append({name: event[name] for name in _SHOWN if name in event})
    return event


def report_usage_errors(session: Session, meter: Document | None, refused: list[tuple[str, ApiError]]) -> Document:
    """Tell which meter events could not be taken; without a meter, that none was found.

    Shape: each refusal comes with its event's identifier.
    """
    by_code: dict[str, list[tuple[str, ApiError]]] = {}
    for identifier, error in refused:
        by_code.setdefault(error.code or "", []).append((identifier, error))
    start = session.recorded_at - session.recorded_at % 10
    data: dict[str, Any] = {
        "developer_message_summary": f"There is {len(refused)} invalid event",
        "reason": {
            "error_count": len(refused),
            "error_types": [
                {
                    "code": code,
                    "error_count": len(found),
                    "sample_errors": [
                        {"error_message": error.message, "request": {"identifier": identifier}}
                        for identifier, error in found[:10]
                    ],
                }
                for code, found in by_code.items()
            ],
        },
        "validation_end": iso(start + 10),
        "validation_start": iso(start),
    }
    if meter is None:
        return add_event(session, NO_METER, data, None)
    related = {"id": meter["id"], "type": "billing.meter", "url": f"/v1/billing/meters/{meter['id']}"}
    return add_event(session, METER_ERRORS, data, related)
