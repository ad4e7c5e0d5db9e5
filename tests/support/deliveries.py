"""Events for tests: built, stored as the receiver stores them, drained as a worker drains them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg2
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.intake import read_delivery
from billing_worker.inbox.queue import list_due_lanes
from billing_worker.inbox.services.drain_lane import drain_lane
from billing_worker.inbox.services.store_deliveries import StoredDelivery, store_deliveries
from billing_worker.kernel.events import DirtyDraft, EffectDraft, EventView, Reactions, Snapshot

_numbers = itertools.count(1)

EPOCH = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp())


def event(
    kind: str,
    obj: Mapping[str, Any],
    *,
    created: int = EPOCH,
    previous: Mapping[str, Any] | None = None,
    event_id: str | None = None,
) -> dict[str, Any]:
    data: dict[str, Any] = {"object": dict(obj)}
    if previous is not None:
        data["previous_attributes"] = dict(previous)
    return {
        "id": event_id or f"evt_{next(_numbers):08d}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": created,
        "livemode": False,
        "type": kind,
        "data": data,
    }


def customer(customer_id: str = "cus_1", **fields: Any) -> dict[str, Any]:
    return {"id": customer_id, "object": "customer", "created": EPOCH, "livemode": False, "metadata": {}, **fields}


def subscription(subscription_id: str = "sub_1", **fields: Any) -> dict[str, Any]:
    return {
        "id": subscription_id,
        "object": "subscription",
        "customer": "cus_1",
        "status": "active",
        "items": {"object": "list", "data": []},
        **fields,
    }


def store(engine: Engine, events: Sequence[Mapping[str, Any]], now: datetime) -> list[StoredDelivery]:
    """Store events one delivery after the other, as they arrive."""
    with closing(psycopg2.connect(engine.url.render_as_string(hide_password=False).replace("+psycopg2", ""))) as raw:
        stored: list[StoredDelivery] = []
        for one in events:
            delivery = read_delivery(json.dumps(one).encode(), livemode=False)
            with raw, raw.cursor() as cursor:
                stored.extend(store_deliveries(cursor, [delivery], now=now).values())
    return stored


def drain(unit_of_work: UnitOfWork, reactions: Reactions, *, batch_size: int = 500) -> int:
    """Drain every due lane until nothing is due; return how many events went through."""
    done = 0
    while True:
        with unit_of_work.transaction() as session:
            lanes = list_due_lanes(session, unit_of_work.now())
        if not lanes:
            return done
        for lane in lanes:
            report = drain_lane(unit_of_work, reactions, lane=lane, batch_size=batch_size)
            done += report.events


def rows(session: Session, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with session.begin_nested() if session.in_transaction() else session.begin():
        return [tuple(row) for row in session.execute(text(statement), parameters)]


class RecordingReactions:
    """Reactions that make one effect per event and one mark per newest row, and fail where told to."""

    def __init__(self, *, fail_on: frozenset[str] = frozenset()) -> None:
        self.fail_on = fail_on

    def on_fact(self, event: EventView) -> list[EffectDraft]:
        if event.event_id in self.fail_on:
            raise ValueError(f"told to fail on {event.event_id}")
        key = f"{event.type}:{event.object_id}:{event.event_id}"
        return [EffectDraft(key, "test.fact", event.object_key, event.customer_id, {"type": event.type})]

    def on_level(self, snapshot: Snapshot) -> list[DirtyDraft]:
        return [DirtyDraft("test_level", snapshot.object_id)]
