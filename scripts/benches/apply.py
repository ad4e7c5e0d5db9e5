"""Apply: events per second of one worker process from stored to processed, against one transaction per event.

    scripts/bench apply [--objects 20000] [--per-object 1 4] [--rounds 3]

Bodies of 4 kB; the same rows are drained by lanes in batches, and by a baseline that claims, applies and finishes each
event in a transaction of its own (the state is one upsert per event, no fold). Rounds alternate; medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.clock import DatabaseClock
from billing_worker.database.copy import copy_rows
from billing_worker.database.engine import build_engine
from billing_worker.database.partitions import ensure_partitions
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.batch import apply_batch
from billing_worker.inbox.claim import claim_events
from billing_worker.inbox.services.drain_lane import drain_lane
from billing_worker.kernel.keys import LANE_COUNT, lane_of, object_key
from billing_worker.routing.table import DISPATCHER
from billing_worker.runtime.settings import load_settings
from billing_worker.stack.ephemeral import ephemeral_servers
from tests.support.databases import migrate

BODY_BYTES = 4096
FILL = 50_000
TABLES = (
    "billing_webhook_events, billing_webhook_payloads, billing_webhook_queue, billing_held_objects, billing_customers, billing_effects, billing_dirty_marks, "
    "billing_messages"
)


def fill(session: Session, unit_of_work: UnitOfWork, objects: int, per_object: int) -> None:
    """Store events as the receiver leaves them: pending, with their bodies."""
    session.execute(text(f"TRUNCATE {TABLES} CASCADE"))
    now = unit_of_work.now()
    number = 0
    events, bodies = [], []
    for step in range(per_object):
        for index in range(objects):
            number += 1
            name = f"cus_{index:08d}"
            key = object_key("", "customer", name)
            body = _body(name, step, int(now.timestamp()) - 1000 + step)
            created = now - timedelta(seconds=1000 - step)
            kind = "customer.updated"
            row = (number, f"evt_{number}", kind, "customer", name, key, name, lane_of(key), created, now, now)
            events.append(row)
            bodies.append((number, now, body))
            if len(events) >= FILL:
                _copy(session, events, bodies)
    _copy(session, events, bodies)
    session.commit()
    session.execute(text("ANALYZE billing_webhook_events"))
    session.commit()


def _copy(session: Session, events: list[tuple[object, ...]], bodies: list[tuple[object, ...]]) -> None:
    columns = (
        *("id", "event_id", "type", "object_type", "object_id", "object_key", "customer_id", "lane", "created"),
        *("received_at", "last_delivery_at"),
    )
    session.execute(text("ALTER TABLE billing.billing_webhook_events ALTER COLUMN id DROP IDENTITY IF EXISTS"))
    copy_rows(session, "billing_webhook_events", columns, events)
    copy_rows(session, "billing_webhook_payloads", ("event_row_id", "received_at", "body"), bodies)
    events.clear()
    bodies.clear()


def _body(name: str, step: int, created: int) -> bytes:
    snapshot = {
        "id": name,
        "object": "customer",
        "email": f"{name}@example.com",
        "name": f"step {step}",
        "currency": "usd",
        "metadata": {"user_id": name, "filling": ""},
    }
    event = {
        "id": "evt",
        "object": "event",
        "type": "customer.updated",
        "created": created,
        "data": {"object": snapshot, "previous_attributes": {"name": f"step {step - 1}"}},
    }
    missing = BODY_BYTES - len(json.dumps(event))
    snapshot["metadata"]["filling"] = "".join(f"{name}{number:x}" for number in range(missing // 12))[:missing]
    return json.dumps(event).encode()


def drain_everything(unit_of_work: UnitOfWork, batch_size: int) -> None:
    """What one worker does, lane after lane."""
    for lane in range(LANE_COUNT):
        while drain_lane(
            unit_of_work, DISPATCHER, lane=lane, batch_size=batch_size, clear_mark=lambda _lane: None
        ).again:
            pass


def one_by_one(unit_of_work: UnitOfWork, limit: int) -> int:
    """The baseline: the same claim, application and finish, a transaction for each event."""
    done = 0
    for lane in range(LANE_COUNT):
        while done < limit:
            with unit_of_work.transaction() as session:
                now = unit_of_work.now()
                claimed = claim_events(session, lane, after=0, size=1, now=now).events
                if not claimed:
                    break
                apply_batch(session, claimed, DISPATCHER, lane=lane, now=now)
            done += 1
    return done


def timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(engine: Engine, unit_of_work: UnitOfWork, options: argparse.Namespace) -> None:
    for per_object in options.per_object:
        total = options.objects * per_object
        ours, theirs, cpus = [], [], []
        for _ in range(options.rounds):
            with Session(engine) as session:
                fill(session, unit_of_work, options.objects, per_object)
            wall, cpu = timed(lambda: drain_everything(unit_of_work, options.batch_size))
            with Session(engine) as session:
                left = session.execute(
                    text("SELECT count(*) FROM billing_webhook_events WHERE status <> 'applied'")
                ).scalar_one()
            if left:
                raise SystemExit(f"{left} events were not applied")
            ours.append(total / wall)
            cpus.append(cpu / total * 1e6)
            with Session(engine) as session:
                fill(session, unit_of_work, options.objects, per_object)
            wall, _ = timed(lambda: one_by_one(unit_of_work, options.baseline))
            theirs.append(options.baseline / wall)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        print(
            f"{per_object} per object: lanes {statistics.median(ours):,.0f} events/s "
            f"({statistics.median(cpus):.0f} µs of the worker's CPU each), "
            f"one transaction per event {statistics.median(theirs):,.0f} events/s, ratio {ratio:.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--per-object", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=500)
    parser.add_argument("--baseline", type=int, default=2_000, help="events the baseline applies in a round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ephemeral_servers(Path(folder), redis=False, durable=True) as servers:
        migrate(servers.database_url)
        settings = load_settings({"DATABASE_URL": servers.database_url, "NSELF_ENV_FILE": os.devnull})
        engine = build_engine(settings, application_name="bench")
        unit_of_work = UnitOfWork(engine, DatabaseClock(engine), statement_timeout=timedelta(minutes=5))
        with Session(engine) as session, session.begin():
            ensure_partitions(session, unit_of_work.now())
        print(f"load average at the start: {os.getloadavg()[0]:.1f}")
        measure(engine, unit_of_work, options)
        engine.dispose()


if __name__ == "__main__":
    main()
