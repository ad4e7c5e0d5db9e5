"""Scale-out: the same backlog drained by one worker host and by two, and nothing wrong afterwards.

    scripts/bench scale_out [--backlog 20000] [--rounds 3]

A host is a webhook worker with a host name and a home of its own; both take from the same queues. Rounds alternate;
after each, every event is applied and every object shows its newest event.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

from scripts.benches.inbox_load import SHAPE_OF_BACKLOG, fill, print_machine, quiet_logs
from scripts.benches.running import WEBHOOK_QUEUES, System, running_system

HOSTS = ("host-1", "host-2")

_WRONG = """
    SELECT count(*) FILTER (WHERE status <> 'applied'),
           count(*) FILTER (WHERE is_newest AND version_row_id IS DISTINCT FROM id)
    FROM (
        SELECT event.id, event.status, customer.version_row_id,
               event.id = max(event.id) OVER (PARTITION BY event.object_id) AS is_newest
        FROM billing_webhook_events event LEFT JOIN billing_customers customer ON customer.id = event.object_id
    ) ends
"""


def drain(system: System, hosts: tuple[str, ...], backlog: int) -> float:
    """Drain a fresh backlog with these hosts and return events per second."""
    fill(system.unit_of_work, SHAPE_OF_BACKLOG, backlog // SHAPE_OF_BACKLOG.per_object)
    for host in hosts:
        system.start_worker("worker-webhooks", WEBHOOK_QUEUES, host=host)
    # the tick starts with everybody there: its first look wakes the lanes
    started = time.perf_counter()
    system.start_worker("worker-tick", "tick,maintenance")
    system.start_beats()
    system.wait_until_applied()
    seconds = time.perf_counter() - started
    system.stop_all_but("receiver")
    unfinished, wrong = system.ask(_WRONG)
    if unfinished or wrong:
        raise SystemExit(f"{unfinished} events are not applied, {wrong} objects do not show their newest event")
    return backlog / seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--backlog", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    quiet_logs()
    with running_system() as system:
        print_machine(system.unit_of_work)
        one: list[float] = []
        two: list[float] = []
        for _ in range(options.rounds):
            one.append(drain(system, HOSTS[:1], options.backlog))
            two.append(drain(system, HOSTS, options.backlog))
        ratio = statistics.median(b / a for a, b in zip(one, two, strict=True))
        print("| worker hosts | events/s, start of the tick included | of one host |\n|---:|---:|---:|")
        print(f"| 1 | {statistics.median(one):,.0f} | 1.00 |")
        print(f"| 2 | {statistics.median(two):,.0f} | {ratio:.2f} |")
        print(f"load average at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
