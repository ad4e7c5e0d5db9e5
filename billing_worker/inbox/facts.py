"""Events that are facts only: something happened, and no row of the mirror is theirs.

`invoice.upcoming` tells of an invoice that does not exist yet. A thin (v2) event only names what happened: its content
and its object are fetched, outside every drain, and the fact is read from the fetched event.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.inbox.claim import ClaimedEvent
from billing_worker.inbox.states import HAPPENED
from billing_worker.kernel.events import EventView
from billing_worker.mirror.extract import ShapeError
from billing_worker.mirror.keys import THIN_EVENT, UPCOMING_INVOICE
from billing_worker.mirror.normalise import normalise

FACT_ONLY = frozenset({THIN_EVENT, UPCOMING_INVOICE})

NOT_AT_STRIPE = "not_at_stripe"
"""The reason of a thin event whose content Stripe no longer has: the notification is all there is."""

_FETCHED = text(
    """
    SELECT DISTINCT ON (e.object_key) e.object_key, p.body
    FROM billing.billing_webhook_events e
    JOIN billing.billing_webhook_payloads p ON p.event_row_id = e.id AND p.received_at = e.received_at
    WHERE e.object_key = ANY(:keys) AND e.source = 'fetch'
    ORDER BY e.object_key, e.id DESC
    """
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One event of this kind.

    Shape: `view` is None for a thin event whose content is still at Stripe, and for the fetched content itself, which
    `is_content`; `detail` is what an operator wants to read of it.
    """

    claimed: ClaimedEvent
    view: EventView | None
    is_content: bool = False
    reason: str = ""
    detail: str = ""


def read_facts(session: Session, events: Sequence[ClaimedEvent], *, given_up: frozenset[str]) -> Iterator[Fact]:
    """Read events of FACT_ONLY types in their order.

    Shape: `given_up` are the object keys that Stripe could not tell anything about.
    """
    thin = [event for event in events if event.object_type == THIN_EVENT]
    fetched = _read_fetched(session, [event.object_key for event in thin]) if thin else {}
    for event in events:
        if event.object_type == UPCOMING_INVOICE:
            snapshot, previous = _snapshot(event.body)
            yield Fact(event, _view(event, normalise("invoice", snapshot), previous))
        elif event.source not in HAPPENED:
            yield Fact(event, None, is_content=True)
        elif event.object_key in fetched:
            content = fetched[event.object_key]
            yield Fact(event, _view(event, content, {}), detail=_summary(content))
        elif event.object_key in given_up:
            yield Fact(event, _view(event, json.loads(event.body), {}), reason=NOT_AT_STRIPE)
        else:
            yield Fact(event, None)


def check_fact(event: ClaimedEvent) -> None:
    """Make sure that a fact can be read before its batch depends on it.

    Raises: ShapeError.
    """
    if event.object_type == UPCOMING_INVOICE:
        snapshot, _ = _snapshot(event.body)
        if snapshot.get("customer") is None:
            raise ShapeError("missing_field", "invoice.customer is required and absent")


def _read_fetched(session: Session, keys: list[str]) -> dict[str, Mapping[str, Any]]:
    rows = session.execute(_FETCHED, {"keys": keys})
    return {key: json.loads(bytes(body))["data"]["object"] for key, body in rows}


def _view(event: ClaimedEvent, data: Mapping[str, Any], previous: Mapping[str, Any]) -> EventView:
    return EventView(
        row_id=event.row_id,
        account_id=event.account_id,
        event_id=event.event_id,
        type=event.type,
        object_type=event.object_type,
        object_id=event.object_id,
        object_key=event.object_key,
        customer_id=event.customer_id,
        created=event.created,
        data=data,
        previous=previous,
    )


def _snapshot(body: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    try:
        data = json.loads(body)["data"]
        snapshot, previous = data["object"], data.get("previous_attributes") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ShapeError("unreadable_body", "data.object is required and absent") from None
    if not isinstance(snapshot, Mapping) or not isinstance(previous, Mapping):
        raise ShapeError("unreadable_body", "data.object and previous_attributes must be objects")
    return snapshot, previous


def _summary(content: Mapping[str, Any]) -> str:
    data = content.get("data")
    told = data.get("developer_message_summary") if isinstance(data, Mapping) else None
    return told[:500] if isinstance(told, str) else ""
