"""How many writes a second the sandbox takes on one core, in memory, with no endpoint to deliver to.

The server is bound to one core and the load to another where there are two; connections stay open.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

HEADERS = {
    "Authorization": "Bearer sk_test_0123456789",
    "Content-Type": "application/x-www-form-urlencoded",
    "Stripe-Version": "2026-10-28.endive",
}
HTTP_OK = 200
CONNECTIONS = 4


class RefusedWriteError(Exception):
    """A write was not taken: there is nothing to measure."""


class Client:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self.written = 0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self, path: str, *pairs: tuple[str, object]) -> bytes:
        self._connection.request("POST", f"/v1/{path}", urlencode(pairs), HEADERS)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != HTTP_OK:
            raise RefusedWriteError(f"{path} answered {answer.status}: {body[:300]!r}")
        self.written += 1
        return body

    def made(self, path: str, *pairs: tuple[str, object]) -> str:
        found = re.search(rb'"id":"(\w+)"', self.post(path, *pairs))
        if found is None:
            raise RefusedWriteError(f"{path} gave no id")
        return found[1].decode()


Write = Callable[[Client, int], object]


@dataclass(frozen=True)
class Mix:
    """One kind of write."""

    name: str
    write: Write
    writes: int = 1


def mixes(client: Client) -> list[Mix]:
    """Prepare what the writes refer to."""
    customer = client.made("customers", ("name", "bench"))
    card = client.made("payment_methods/pm_card_visa/attach", ("customer", customer))
    client.post(f"customers/{customer}", ("invoice_settings[default_payment_method]", card))
    product = client.made("products", ("name", "bench"))
    price = client.made(
        "prices",
        ("product", product),
        ("currency", "usd"),
        ("unit_amount", 1000),
        ("recurring[interval]", "month"),
    )
    meter = ("display_name", "bench"), ("event_name", "bench"), ("default_aggregation[formula]", "sum")
    client.post("billing/meters", *meter)

    def usage(each: Client, _: int) -> object:
        payload = ("payload[stripe_customer_id]", customer), ("payload[value]", 1)
        return each.post("billing/meter_events", ("event_name", "bench"), *payload)

    def subscribe(each: Client, number: int) -> object:
        own = each.made("customers", ("name", f"subscriber {number}"))
        method = each.made("payment_methods/pm_card_visa/attach", ("customer", own))
        given = ("customer", own), ("items[0][price]", price), ("default_payment_method", method)
        return each.post("subscriptions", *given)

    return [
        Mix("customers.create", lambda each, number: each.post("customers", ("name", f"c{number}"))),
        Mix("customers.update", lambda each, number: each.post(f"customers/{customer}", ("metadata[n]", number))),
        Mix("billing.meter_events.create", usage),
        Mix("customer, card, paid subscription in turn", subscribe, writes=3),
    ]


@contextmanager
def sandbox() -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "billing_worker.sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")},
    )
    stdout = process.stdout
    if stdout is None:
        raise SystemExit("no output is read")
    port = next(int(found[1]) for line in stdout if (found := re.search(r"listening on \S+:(\d+)", line)))
    # The log goes on being read, so that the sandbox never waits for it.
    drain = threading.Thread(target=lambda: [None for _ in stdout], daemon=True)
    drain.start()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(process.pid, {cores[0]})
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cores[0]})
    os.sched_setaffinity(0, {cores[-1]})
    try:
        yield process, port
    finally:
        process.terminate()
        process.wait()
        drain.join()
        stdout.close()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(mix: Mix, port: int, calls: int, pid: int) -> tuple[float, float]:
    """Give writes a second and the server's processor time per write in microseconds.

    Shape: every write is counted by its answer; one that is refused ends the benchmark.
    """
    each = calls // CONNECTIONS

    def load(first: int) -> int:
        client = Client(port)
        for number in range(first, first + each):
            mix.write(client, number)
        return client.written

    started, cpu = time.perf_counter(), cpu_seconds(pid)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        written = sum(pool.map(load, range(0, each * CONNECTIONS, each)))
    elapsed = time.perf_counter() - started
    if written != each * CONNECTIONS * mix.writes:
        raise RefusedWriteError(f"{mix.name}: {written} writes answered, {each * CONNECTIONS * mix.writes} sent")
    return written / elapsed, (cpu_seconds(pid) - cpu) / written * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--writes", type=int, default=1000)
    options = parser.parse_args()
    with sandbox() as (process, port):
        kinds = mixes(Client(port))
        results: dict[str, list[tuple[float, float]]] = {mix.name: [] for mix in kinds}
        for _ in range(options.rounds):
            for mix in kinds:
                results[mix.name].append(measure(mix, port, options.writes, process.pid))
    print(f"load average {os.getloadavg()[0]:.1f}, medians of {options.rounds} rounds of {options.writes}")
    for name, rounds in results.items():
        rate, cpu = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"{name:<50} {rate:8.0f}/s {cpu:8.0f} µs of the server's processor each")


if __name__ == "__main__":
    main()
