"""Acknowledged deliveries a second: ours under two servers, a receiver that works per request, and no storing at all.

Everything shares the machine: PostgreSQL with fsync, Redis, the receiver and the load. Trust the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from billing_worker.stack.ephemeral import EphemeralServers, ephemeral_servers
from billing_worker.stack.ports import choose_port
from billing_worker.stack.readiness import wait_until_ready

SECRET = "whsec_benchmark"  # noqa: S105 - signs the benchmark's own events
BODY_FILLER = 3_500
"""Stripe's events are 1 to 10 kB."""

APPS = "scripts.benches.intake_apps"
OURS_GUNICORN = "ours, gunicorn gthread"
NAIVE = "insert + publish, gunicorn gthread"


@dataclass
class Contestant:
    """One receiver under measurement.

    Shape: `command` may hold {port} and {threads}; one entry per round in the figures.
    """

    name: str
    command: list[str]
    stores: bool = True
    rates: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None


def contestants() -> list[Contestant]:
    """Return the field, in the order of each round."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "-w", "1", "-k", "gthread"]
    gunicorn += ["--threads", "{threads}", "--keep-alive", "75", "--log-level", "error"]
    granian = [sys.executable, "-m", "granian", "--interface", "wsgi", "--factory", "--host", "127.0.0.1"]
    granian += ["--port", "{port}", "--blocking-threads", "{threads}", "--no-ws", "--log-level", "error"]
    return [
        Contestant(NAIVE, [*gunicorn, f"{APPS}:naive()"]),
        Contestant("insert + publish, granian", [*granian, f"{APPS}:naive"]),
        Contestant(OURS_GUNICORN, [*gunicorn, "webhook_receiver.wsgi:build()"]),
        Contestant("ours, granian", [sys.executable, "-m", "webhook_receiver"]),
        Contestant("signature only, granian", [*granian, f"{APPS}:verify_only"], stores=False),
    ]


def main() -> None:
    """Run the rounds and print medians."""
    parser = argparse.ArgumentParser(prog="scripts/bench intake", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2000, help="per receiver and round")
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    field_of_five = contestants()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nself-bench-")))
        servers = stack.enter_context(ephemeral_servers(folder / "servers", durable=True))
        environment = _environment(folder, servers)
        subprocess.run([sys.executable, "-m", "migrations", "upgrade"], env=environment, check=True)
        for contestant in field_of_five:
            stack.callback(_stop, contestant)
            _start(contestant, environment, folder, threads=options.connections)
            _measure(contestant, options.connections, 200, warm_up=True)
        expected = sum(200 for contestant in field_of_five if contestant.stores)
        for _ in range(options.rounds):
            for contestant in field_of_five:
                _measure(contestant, options.connections, options.requests)
                expected += options.requests if contestant.stores else 0
        stored = _count(servers.database_url)
    _report(field_of_five, options.connections)
    print(f"\nrows: {stored}, acknowledged: {expected}")
    if stored != expected:
        raise SystemExit("acknowledged deliveries are not rows")


def _environment(folder: Path, servers: EphemeralServers) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "NSELF_HOME": str(folder),
        "NSELF_ENV_FILE": str(folder / ".env"),
    }


def _start(contestant: Contestant, environment: dict[str, str], folder: Path, *, threads: int) -> None:
    contestant.port = choose_port()
    own = {"BILLING_RECEIVER_PORT": str(contestant.port)}
    log = folder / f"{contestant.port}.log"
    with log.open("wb") as output:
        process = contestant.process = subprocess.Popen(
            [part.format(port=contestant.port, threads=threads) for part in contestant.command],
            env={**environment, **own},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    wait_until_ready(
        contestant.name,
        lambda: _complaint(contestant.port),
        timeout_seconds=60,
        is_alive=lambda: process.poll() is None,
    )


def _complaint(port: int) -> str | None:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/webhooks/stripe", timeout=5).close()
    except urllib.error.HTTPError as error:
        return None if error.code == 405 else str(error)  # noqa: PLR2004 - GET on a POST address
    except OSError as error:
        return str(error)
    return None


def _stop(contestant: Contestant) -> None:
    if contestant.process is not None:
        if contestant.process.poll() is None:
            os.killpg(contestant.process.pid, signal.SIGKILL)
        contestant.process.wait()


def _measure(contestant: Contestant, connections: int, requests: int, *, warm_up: bool = False) -> None:
    load = [sys.executable, "-m", "scripts.benches.intake_load", str(contestant.port), str(connections // 2)]
    load += [str(requests // 2), str(BODY_FILLER), SECRET]
    halves = [subprocess.Popen(load, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for half in halves:
        assert half.stdout is not None  # noqa: S101 - a pipe was asked for
        half.stdout.readline()
    before = _cpu_seconds(contestant)
    results = []
    for half in halves:
        assert half.stdin is not None  # noqa: S101 - a pipe was asked for
        half.stdin.write("go\n")
        half.stdin.flush()
    for half in halves:
        output, _ = half.communicate()
        if half.returncode != 0:
            raise SystemExit(f"{contestant.name}: the load generator failed")
        results.append(json.loads(output))
    if warm_up:
        return
    latencies = sorted(latency for result in results for latency in result["latencies"])
    contestant.rates.append(requests / max(result["seconds"] for result in results))
    contestant.p50_ms.append(latencies[len(latencies) // 2] * 1000)
    contestant.p99_ms.append(latencies[len(latencies) * 99 // 100] * 1000)
    contestant.cpu_us.append((_cpu_seconds(contestant) - before) / requests * 1e6)


def _cpu_seconds(contestant: Contestant) -> float:
    """Add up the processor time of the server's process group."""
    assert contestant.process is not None  # noqa: S101 - started before
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == contestant.process.pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _count(url: str) -> int:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM billing.billing_webhook_events")
            (number,) = cursor.fetchone() or (0,)
            return int(number)
    finally:
        connection.close()


def _report(field_of_five: list[Contestant], connections: int) -> None:
    base = field_of_five[0].rates
    print(f"{os.cpu_count()} cores, {connections} connections, {len(base)} rounds; medians\n")
    print(f"| receiver | requests/s | of `{NAIVE}` | p50 ms | p99 ms | server CPU µs/request |")
    print("|---|---:|---:|---:|---:|---:|")
    for one in field_of_five:
        ratio = statistics.median(rate / other for rate, other in zip(one.rates, base, strict=True))
        print(
            f"| {one.name} | {statistics.median(one.rates):,.0f} | {ratio:.2f}"
            f" | {statistics.median(one.p50_ms):.1f} | {statistics.median(one.p99_ms):.1f}"
            f" | {statistics.median(one.cpu_us):,.0f} |"
        )


if __name__ == "__main__":
    main()
