"""Apply: events per second of one worker process from stored to processed, against one transaction per event.

    scripts/bench apply [--objects 20000] [--rounds 3] [--shapes one burst rounds]

Bodies of 4 kB median in Stripe's shape, 20,000 objects. Such rows are drained by lanes in batches, and by a baseline
that claims, applies and finishes each event in a transaction of its own. Rounds alternate; medians are printed.
`burst`: the four events of an object arrive near each other, those of 1,000 objects mixed, as Stripe sends them;
`rounds`: every object's first event, then every object's second one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.plans import look_up_by_index
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.batch import apply_batch
from billing_worker.inbox.claim import claim_events
from billing_worker.inbox.services.drain_lane import drain_lane
from billing_worker.kernel.keys import LANE_COUNT
from billing_worker.routing.table import DISPATCHER
from billing_worker.stack.ephemeral import ephemeral_servers
from scripts.benches.inbox_load import Arrivals, fill, print_machine, quiet_logs, read_settings, worker_of

SHAPES = {
    "one": Arrivals("1 per object", per_object=1, together=1_000),
    "burst": Arrivals("4 per object, near each other", per_object=4, together=1_000),
    "rounds": Arrivals("4 per object, one round after another", per_object=4, together=1_000_000),
}


@dataclass(frozen=True)
class Result:
    """One run of one way.

    Units: `rate` in events per second, `cpu` in µs of this process for each event, `wal` in bytes for each.
    """

    rate: float
    cpu: float
    wal: float


def drain_everything(unit_of_work: UnitOfWork, batch_size: int) -> None:
    """What one worker does, lane after lane."""
    for lane in range(LANE_COUNT):
        while drain_lane(unit_of_work, DISPATCHER, lane=lane, batch_size=batch_size).again:
            pass


def one_by_one(unit_of_work: UnitOfWork, limit: int) -> None:
    """The baseline: the same claim, application and finish, a transaction for each event."""
    done = 0
    for lane in range(LANE_COUNT):
        while done < limit:
            with unit_of_work.transaction() as session:
                look_up_by_index(session)  # the baseline gets the plans that ours has
                now = unit_of_work.now()
                claimed = claim_events(session, {lane: 0}, share=1, size=1, now=now).events
                if not claimed:
                    break
                apply_batch(session, claimed, DISPATCHER, now=now)
            done += 1


def timed(engine: Engine, work: Callable[[], object], events: int) -> Result:
    start = _wal(engine)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Result(events / wall, cpu / events * 1e6, (_wal(engine) - start) / events)


def measure(unit_of_work: UnitOfWork, shape: Arrivals, options: argparse.Namespace) -> None:
    total = options.objects * shape.per_object
    ours: list[Result] = []
    theirs: list[Result] = []
    for _ in range(options.rounds):
        fill(unit_of_work, shape, options.objects)
        ours.append(timed(unit_of_work.engine, lambda: drain_everything(unit_of_work, options.batch_size), total))
        with Session(unit_of_work.engine) as session:
            left = session.execute(text("SELECT count(*) FROM billing_webhook_events WHERE status <> 'applied'"))
            if unfinished := left.scalar_one():
                raise SystemExit(f"{unfinished} events were not applied")
        fill(unit_of_work, shape, max(options.baseline // shape.per_object, LANE_COUNT))
        theirs.append(timed(unit_of_work.engine, lambda: one_by_one(unit_of_work, options.baseline), options.baseline))
    ratio = statistics.median(a.rate / b.rate for a, b in zip(ours, theirs, strict=True))
    rate, cpu, wal = (statistics.median(getattr(one, name) for one in ours) for name in ("rate", "cpu", "wal"))
    baseline = statistics.median(one.rate for one in theirs)
    print(f"| {shape.name} | {rate:,.0f} | {cpu:.0f} | {wal / 1000:.1f} | {baseline:,.0f} | {ratio:.1f} |", flush=True)


def _wal(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT pg_current_wal_insert_lsn() - '0/0'")).scalar_one())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--shapes", choices=SHAPES, nargs="+", default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=500)
    parser.add_argument("--baseline", type=int, default=1_000, help="events the baseline applies in a round")
    options = parser.parse_args()
    quiet_logs()
    with tempfile.TemporaryDirectory() as folder, ephemeral_servers(Path(folder), redis=False, durable=True) as servers:
        unit_of_work = worker_of(read_settings({"DATABASE_URL": servers.database_url}), timedelta(minutes=5))
        print_machine(unit_of_work)
        print("| arrivals | events/s | worker CPU µs/event | WAL kB/event | one transaction per event | ratio |")
        print("|---|---:|---:|---:|---:|---:|")
        for name in options.shapes:
            measure(unit_of_work, SHAPES[name], options)
        unit_of_work.engine.dispose()
        print(f"load average at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
