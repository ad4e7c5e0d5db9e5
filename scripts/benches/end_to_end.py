"""End to end: delivery to applied with everything running, at 200 events/s, at the highest rate, and after a backlog.

    scripts/bench end_to_end [--rate 200] [--seconds 15] [--burst 6000] [--backlog 20000]

Receiver, broker, two webhook workers, the other workers, the tick and two beats, and the load generator share the
machine. The lag is an event's own: receipt to the claim of its batch, plus the transaction that applied it.
"""

from __future__ import annotations

import argparse
import os
import time

from scripts.benches.inbox_load import SHAPE_OF_BACKLOG, fill, print_machine, quiet_logs
from scripts.benches.running import OTHER_QUEUES, WEBHOOK_QUEUES, System, running_system

WEBHOOK_WORKERS = ("worker-webhooks-1", "worker-webhooks-2")

_LAG = """
    SELECT count(*) FILTER (WHERE status = 'applied'), count(*),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY waited_ms + applied_ms),
           percentile_cont(0.99) WITHIN GROUP (ORDER BY waited_ms + applied_ms)
    FROM billing_webhook_events WHERE id > :after
"""


def measure(system: System, name: str, count: int, *, first: int, rate: float) -> None:
    (after,) = system.ask("SELECT coalesce(max(id), 0) FROM billing_webhook_events")
    started = time.perf_counter()
    latencies = sorted(system.deliver(count, first=first, rate=rate))
    system.wait_until_applied()
    seconds = time.perf_counter() - started
    applied, stored, p50, p99 = system.ask(_LAG, after=after)
    if (applied, stored) != (count, count):
        raise SystemExit(f"{count} delivered, {stored} stored, {applied} applied")
    answers = f"{latencies[count // 2] * 1000:.0f} / {latencies[count * 99 // 100] * 1000:.0f}"
    print(f"| {name} | {count / seconds:,.0f} | {p50:.0f} / {p99:.0f} | {answers} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--burst", type=int, default=6_000)
    parser.add_argument("--backlog", type=int, default=20_000)
    options = parser.parse_args()
    quiet_logs()
    with running_system() as system:
        print_machine(system.unit_of_work)
        system.start_worker("worker-tick", "tick")
        system.start_worker("worker-billing", OTHER_QUEUES)
        system.start_beats()
        for name in WEBHOOK_WORKERS:
            system.start_worker(name, WEBHOOK_QUEUES)
        system.deliver(500, first=1)
        system.wait_until_applied()
        print("| load | events/s | lag p50 / p99, ms | answer p50 / p99, ms |\n|---|---:|---:|---:|")
        steady = int(options.rate * options.seconds)
        measure(system, f"{options.rate:g} events/s", steady, first=1_000, rate=options.rate)
        measure(system, "as fast as answered", options.burst, first=1_000 + steady, rate=0)
        for name in WEBHOOK_WORKERS:
            system.stop(f"{name}-host-1")
        fill(system.unit_of_work, SHAPE_OF_BACKLOG, options.backlog // SHAPE_OF_BACKLOG.per_object)
        started = time.perf_counter()
        for name in WEBHOOK_WORKERS:
            system.start_worker(name, WEBHOOK_QUEUES)
        system.wait_until_applied()
        seconds = time.perf_counter() - started
        print(
            f"\nbacklog of {options.backlog:,} after the workers were away: drained {seconds:.1f} s after their start "
            f"({options.backlog / seconds:,.0f} events/s, the start of two processes included)"
        )
        print(f"load average at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
