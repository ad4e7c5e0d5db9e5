"""End to end: delivery to applied with everything running, at 200 events/s, at the highest rate, and after a backlog.

    scripts/bench end_to_end [--rate 200] [--seconds 15] [--burst 6000] [--backlog 20000] [--peer [--rounds 3]]

Receiver, broker, two webhook workers, the other workers, the tick and two beats, and the load generator share the
machine. The lag is an event's own: receipt to the claim of its batch, plus the transaction that applied it. `--peer`
adds rounds in which `@supabase/stripe-sync-engine` under Fastify takes the same events into the same PostgreSQL.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import dataclass

from scripts.benches.inbox_load import SHAPE_OF_BACKLOG, fill, print_machine, quiet_logs
from scripts.benches.peer import Peer, running_peer
from scripts.benches.running import OTHER_QUEUES, PARTS, WEBHOOK_QUEUES, Delivered, System, running_system

WEBHOOK_WORKERS = ("worker-webhooks-1", "worker-webhooks-2")

_LAG = """
    SELECT count(*) FILTER (WHERE status = 'applied'), count(*),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY waited_ms + applied_ms),
           percentile_cont(0.99) WITHIN GROUP (ORDER BY waited_ms + applied_ms)
    FROM billing_webhook_events WHERE id > :after
"""


@dataclass(frozen=True)
class Measured:
    """One run: events per second until all were applied, and the processor time of each part in µs for each event."""

    rate: float
    processor: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.processor.values())


def settle(system: System, delivered: Delivered, count: int) -> Measured:
    seconds = time.perf_counter() - delivered.started
    used = system.processor_seconds()
    return Measured(count / seconds, {part: (used[part] - delivered.processor[part]) / count * 1e6 for part in PARTS})


def measure(system: System, name: str, count: int, *, first: int, rate: float) -> Measured:
    """Deliver, wait until everything is applied, print a row."""
    (after,) = system.ask("SELECT coalesce(max(id), 0) FROM billing_webhook_events")
    delivered = system.deliver(count, first=first, rate=rate)
    system.wait_until_applied()
    measured = settle(system, delivered, count)
    applied, stored, p50, p99 = system.ask(_LAG, after=after)
    if (applied, stored) != (count, count):
        raise SystemExit(f"{count} delivered, {stored} stored, {applied} applied")
    print_row(name, measured, delivered, f"{p50:.0f} / {p99:.0f}")
    return measured


def measure_peer(system: System, peer: Peer, count: int, *, first: int) -> Measured:
    """Let the peer take the same events: it has applied what it has answered."""
    delivered = system.deliver(count, first=first, port=peer.port)
    measured = settle(system, delivered, count)
    print_row("peer, as fast as answered", measured, delivered, "as answered")
    return measured


def print_row(name: str, measured: Measured, delivered: Delivered, lag: str) -> None:
    answers = [delivered.latencies[len(delivered.latencies) * share // 100] * 1000 for share in (50, 99)]
    parts = " + ".join(f"{part} {used:,.0f}" for part, used in measured.processor.items() if used)
    print(
        f"| {name} | {measured.rate:,.0f} | {lag} | {answers[0]:.0f} / {answers[1]:.0f} | {measured.total:,.0f} "
        f"= {parts} |",
        flush=True,
    )


def compare(system: System, rounds: int, count: int, *, first: int) -> None:
    """Alternate rounds with the peer and print the ratios inside the rounds."""
    with running_peer(system) as peer:
        if peer is None:
            return
        system.deliver(300, first=1, port=peer.port)
        ours: list[Measured] = []
        theirs: list[Measured] = []
        for number in range(rounds):
            start = first + number * count
            ours.append(measure(system, "as fast as answered", count, first=start, rate=0))
            theirs.append(measure_peer(system, peer, count, first=start))
    rate = statistics.median(a.rate / b.rate for a, b in zip(ours, theirs, strict=True))
    processor = statistics.median(b.total / a.total for a, b in zip(ours, theirs, strict=True))
    print(
        f"\nours to the peer, medians of {rounds} rounds: {rate:.2f} times the events per second; the peer uses "
        f"{processor:.2f} times our processor time for an event"
    )


def drain_backlog(system: System, backlog: int) -> None:
    """Fill the inbox while no webhook worker runs, start them, and time the way to the last event."""
    for name in WEBHOOK_WORKERS:
        system.stop(f"{name}-host-1")
    fill(system.unit_of_work, SHAPE_OF_BACKLOG, backlog // SHAPE_OF_BACKLOG.per_object)
    started, before = time.perf_counter(), system.processor_seconds()
    for name in WEBHOOK_WORKERS:
        system.start_worker(name, WEBHOOK_QUEUES)
    system.wait_until_applied()
    measured = settle(system, Delivered([], started, before), backlog)
    print(
        f"\nbacklog of {backlog:,} after the workers were away: drained {backlog / measured.rate:.1f} s after their "
        f"start ({measured.rate:,.0f} events/s, the start of two processes included; {measured.total:,.0f} µs each)"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--burst", type=int, default=6_000)
    parser.add_argument("--backlog", type=int, default=20_000)
    parser.add_argument("--peer", action="store_true", help="side by side with a peer; needs npm and its registry")
    parser.add_argument("--rounds", type=int, default=3)
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
        print("| load | events/s | lag p50 / p99, ms | answer p50 / p99, ms | processor, µs/event |")
        print("|---|---:|---:|---:|---|")
        steady = int(options.rate * options.seconds)
        if steady:
            measure(system, f"{options.rate:g} events/s", steady, first=1_000, rate=options.rate)
        if options.peer:
            compare(system, options.rounds, options.burst // options.rounds, first=1_000 + steady)
        elif options.burst:
            measure(system, "as fast as answered", options.burst, first=1_000 + steady, rate=0)
        if options.backlog:
            drain_backlog(system, options.backlog)
        print(f"load average at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
