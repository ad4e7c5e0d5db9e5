"""Backlog: what a claim and a worker's memory cost with many events waiting, many applied, a snapshot held, one parked.

    scripts/bench backlog [--pending 10000 100000 300000] [--history 300000] [--through 60000] [--parked 100000]

Claims are timed in transactions that are rolled back, over all lanes; bodies are small here, so that a million of them
fit. The held snapshot stands for its age by the events that pass meanwhile: at 300 events/s ten minutes are 180,000.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.plans import look_up_by_index
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.claim import claim_events, read_lanes
from billing_worker.inbox.queue import is_any_due
from billing_worker.inbox.services.drain_lane import drain_lane
from billing_worker.kernel.keys import LANE_COUNT
from billing_worker.routing.table import DISPATCHER
from billing_worker.stack.ephemeral import ephemeral_servers
from scripts.benches.inbox_load import TABLES, print_machine, quiet_logs, read_settings, worker_of

BATCH = 500
LOOK = 100
"""Each timed claim takes as many, so that they compare."""

STEP = 100_000
FLOODED = "/customer/flooded"
LANE = 7

_STORE = text(
    """
    WITH stored AS (
        INSERT INTO billing_webhook_events (event_id, type, object_type, object_id, object_key, customer_id, lane,
                                            created, received_at, last_delivery_at, status)
        SELECT 'evt_' || :first + n, 'customer.updated', 'customer', name, '/customer/' || name, name,
               coalesce(:lane, n % 64), :now, :now, :now, :status
        FROM generate_series(1, :count) AS n, LATERAL (SELECT coalesce(:name, 'cus_' || :first + n) AS name) named
        RETURNING id, object_id, received_at
    )
    INSERT INTO billing_webhook_payloads (event_row_id, received_at, body)
    SELECT id, received_at, convert_to(
        '{"data": {"object": {"id": "' || object_id || '", "object": "customer", "name": "' || id || '"}}}', 'UTF8')
    FROM stored
    """
)


class Inbox:
    """The inbox under measurement."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work
        self._stored = 0

    def empty(self) -> None:
        with Session(self.unit_of_work.engine) as session, session.begin():
            session.execute(text(f"TRUNCATE {TABLES} CASCADE"))

    def store(self, count: int, *, status: str = "pending", lane: int | None = None, name: str | None = None) -> None:
        for start in range(0, count, STEP):
            with Session(self.unit_of_work.engine) as session, session.begin():
                size = min(STEP, count - start)
                parameters = {"first": self._stored, "count": size, "status": status, "lane": lane, "name": name}
                session.execute(_STORE, {**parameters, "now": self.unit_of_work.now()})
                self._stored += size

    def analyze(self) -> None:
        with Session(self.unit_of_work.engine) as session, session.begin():
            session.execute(text("ANALYZE billing_webhook_events, billing_webhook_queue, billing_webhook_payloads"))

    def claim_ms(self) -> float:
        """Time what a drain asks first and last, without the work between: state, claim, anything left."""
        times = []
        for lane in range(LANE_COUNT):
            with Session(self.unit_of_work.engine) as session:
                now = self.unit_of_work.now()
                look_up_by_index(session)
                started = time.perf_counter()
                (state,) = read_lanes(session, [lane])
                claim_events(session, {lane: state.taken_through}, share=LOOK, size=LOOK, now=now)
                is_any_due(session, [lane], now)
                times.append(time.perf_counter() - started)
                session.rollback()
        return statistics.median(times) * 1000

    def drain(self, *, at_most: int, lanes: range = range(LANE_COUNT)) -> tuple[int, float]:
        """Drain like one worker and return how many events went through, and in which time."""
        done, started = 0, time.perf_counter()
        for lane in lanes:
            again = True
            while again and done < at_most:
                report = drain_lane(self.unit_of_work, DISPATCHER, lane=lane, batch_size=BATCH)
                done, again = done + report.events, report.again
        return done, time.perf_counter() - started


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_backlog(inbox: Inbox, sizes: list[int]) -> None:
    print(
        "\n| events pending | claim of 100 and look, ms | worker's memory after 10,000 applied, MB |\n|---:|---:|---:|"
    )
    inbox.store(2_000)
    inbox.drain(at_most=2_000)  # what a worker loads once is loaded
    for size in sizes:
        inbox.empty()
        inbox.store(size)
        inbox.analyze()
        claim = inbox.claim_ms()
        inbox.drain(at_most=min(size, 10_000))
        print(f"| {size:,} | {claim:.1f} | {rss_mb():.0f} |", flush=True)


def measure_history(inbox: Inbox, history: int) -> None:
    print("\n| events applied before | claim of 100 and look, ms |\n|---:|---:|")
    inbox.empty()
    for applied in (0, history):
        inbox.store(applied, status="applied")
        if applied == 0:
            inbox.store(LANE_COUNT * 300)
        inbox.analyze()
        print(f"| {applied:,} | {inbox.claim_ms():.1f} |", flush=True)


def measure_snapshot(inbox: Inbox, through: int) -> None:
    print("\n| events that passed under a held snapshot | claim of 100 and look, ms |\n|---:|---:|")
    inbox.empty()
    wave = LANE_COUNT * 150
    with inbox.unit_of_work.engine.connect().execution_options(isolation_level="REPEATABLE READ") as reader:
        reader.execute(text("SELECT count(*) FROM billing_webhook_events"))
        passed = 0
        shown = [through * step // 4 for step in range(5)]
        while shown:
            inbox.store(wave)
            if passed >= shown[0]:
                shown.pop(0)
                print(f"| {passed:,} | {inbox.claim_ms():.1f} |", flush=True)
            passed += inbox.drain(at_most=wave)[0]


def measure_parked(inbox: Inbox, flood: int) -> None:
    print("\n| 5,000 events of other objects in the lane | ms |\n|---|---:|")
    for label, parked in (("nothing parked", 0), (f"one object parked with {flood:,} waiting", flood)):
        inbox.empty()
        if parked:
            with inbox.unit_of_work.transaction() as session:
                session.execute(
                    text(
                        "INSERT INTO billing_parked_objects "
                        "(object_key, lane, waits_for, parked_until, reason, parked_at) "
                        "VALUES (:key, :lane, 'backoff', :until, 'event_failed', :now)"
                    ),
                    {
                        "key": FLOODED,
                        "lane": LANE,
                        "until": inbox.unit_of_work.now() + timedelta(hours=1),
                        "now": inbox.unit_of_work.now(),
                    },
                )
            inbox.store(parked, lane=LANE, name=FLOODED.rpartition("/")[2])
            _, aside = inbox.drain(at_most=1, lanes=range(LANE, LANE + 1))
        inbox.store(5_000, lane=LANE)
        inbox.analyze()
        done, seconds = inbox.drain(at_most=5_000, lanes=range(LANE, LANE + 1))
        note = f" (once, to set them aside: {aside * 1000:,.0f})" if parked else ""
        print(f"| {label} | {seconds * 5_000 / done * 1000:,.0f}{note} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pending", type=int, nargs="+", default=[10_000, 100_000, 300_000])
    parser.add_argument("--history", type=int, default=300_000)
    parser.add_argument("--through", type=int, default=60_000)
    parser.add_argument("--parked", type=int, default=100_000)
    options = parser.parse_args()
    quiet_logs()
    with tempfile.TemporaryDirectory() as folder, ephemeral_servers(Path(folder), redis=False, durable=True) as servers:
        inbox = Inbox(worker_of(read_settings({"DATABASE_URL": servers.database_url}), timedelta(minutes=5)))
        print_machine(inbox.unit_of_work)
        measure_backlog(inbox, options.pending)
        measure_history(inbox, options.history)
        measure_snapshot(inbox, options.through)
        measure_parked(inbox, options.parked)
        inbox.unit_of_work.engine.dispose()


if __name__ == "__main__":
    main()
