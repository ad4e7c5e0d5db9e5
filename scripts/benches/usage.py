"""Usage records a second: over HTTP in batches of 500, and into PostgreSQL against plain COPY of the same rows.

Everything shares the machine: PostgreSQL with fsync, Redis, the API, the collector and the load. Trust the ratios.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg2
from redis import Redis
from sqlalchemy import Engine, text

from billing_worker.database.clock import DatabaseClock
from billing_worker.database.engine import build_engine
from billing_worker.database.partitions import ensure_partitions
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.buffer import UsageBuffer
from billing_worker.domains.usage.rules import UsageRecord
from billing_worker.domains.usage.services.flush_buffer import flush_buffer
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.runtime.logs import configure_logs
from billing_worker.runtime.settings import Settings, load_settings
from billing_worker.stack.ephemeral import ephemeral_servers
from billing_worker.stack.ports import choose_port
from billing_worker.stack.readiness import wait_until_ready

KEY = "benchmark_0123456789abcdef"
GROUP = 10_000
"""Records per commit, as in the API's writer and the collector."""

CONNECTIONS = 8
BUFFER_SIZE = 100_000


def main() -> None:
    """Run the rounds and print medians."""
    parser = argparse.ArgumentParser(prog="scripts/bench usage", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=100_000, help="per contestant and round")
    parser.add_argument("--batch", type=int, default=500, help="records per HTTP request")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nself-bench-")))
        log = stack.enter_context((folder / "bench.log").open("w"))
        servers = stack.enter_context(ephemeral_servers(folder / "servers", durable=True))
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "BILLING_API_KEYS": KEY,
            "USAGE_BUFFER_SIZE": str(BUFFER_SIZE),
            "NSELF_HOME": str(folder),
            "NSELF_ENV_FILE": str(folder / ".env"),
        }
        subprocess.run([sys.executable, "-m", "migrations", "upgrade"], env=environment, check=True)
        settings = load_settings(environment)
        engine = build_engine(settings, application_name="bench")
        unit_of_work = UnitOfWork(engine, DatabaseClock(engine), statement_timeout=timedelta(minutes=1))
        with unit_of_work.transaction() as session:
            ensure_partitions(session, unit_of_work.now())
        print(f"{os.cpu_count()} cores, {options.rounds} rounds of {options.records:,} records; medians\n", flush=True)
        real_stderr, sys.stderr = sys.stderr, log  # the log is part of the work and goes to a file
        configure_logs(level="info", service="bench")
        sys.stderr = real_stderr
        _bench_database(engine, unit_of_work, settings, options)
        for name, changes in (("200: committed", {}), ("202: buffered", {"USAGE_ENABLE_BUFFER": "true"})):
            with _api(environment | changes, folder) as (port, group):
                _bench_http(name, port, group, engine, unit_of_work, settings, options)


def _bench_database(engine: Engine, unit_of_work: UnitOfWork, settings: Settings, options: argparse.Namespace) -> None:
    contestants = {"plain COPY": _copy, "record_usage, new keys": _record, "flush of the Redis buffer": _flush}
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(options.rounds + 1):
        for name, contestant in contestants.items():
            _empty(engine)
            seconds = contestant(unit_of_work, settings, options.records, options.batch)
            if number:  # the first round warms up
                rates[name].append(options.records / seconds)
            if _count(engine) != options.records:
                raise SystemExit(f"{name}: {_count(engine)} rows for {options.records} records")
    base = rates["plain COPY"]
    print("| into PostgreSQL | records/s | of plain COPY |\n|---|---:|---:|")
    for name, own in rates.items():
        ratio = statistics.median(one / other for one, other in zip(own, base, strict=True))
        print(f"| {name} | {statistics.median(own):,.0f} | {ratio:.2f} |", flush=True)


def _records(count: int) -> list[UsageRecord]:
    run = uuid.uuid4().hex[:12]
    return [
        UsageRecord(f"user{index % 500}", "api_calls", index % 9 + 1, None, None, f"{run}-{index}")
        for index in range(count)
    ]


def _copy(unit_of_work: UnitOfWork, settings: Settings, count: int, _batch: int) -> float:
    now = unit_of_work.now().isoformat()
    groups = [
        "".join(
            f"{start + index}\t{start}\t{one.user_id}\t{one.metric_type}\t{one.value}\t{now}\t{now}\t"
            f"{one.idempotency_key}\n"
            for index, one in enumerate(_records(min(GROUP, count - start)))
        )
        for start in range(0, count, GROUP)
    ]
    connection = psycopg2.connect(settings.database_url.get_secret_value())
    started = time.perf_counter()
    for group in groups:
        with connection, connection.cursor() as cursor:
            cursor.copy_expert(
                "COPY billing.billing_usage (id, batch_id, user_id, metric_type, value, created_at, recorded_at, "
                "idempotency_key) FROM STDIN",
                io.StringIO(group),
            )
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


def _record(unit_of_work: UnitOfWork, _settings: Settings, count: int, _batch: int) -> float:
    metrics, records = load_metrics(), _records(count)
    started = time.perf_counter()
    for start in range(0, count, GROUP):
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            record_usage(session, records[start : start + GROUP], metrics=metrics, source="bench", now=now)
    return time.perf_counter() - started


def _flush(unit_of_work: UnitOfWork, settings: Settings, count: int, batch: int) -> float:
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    buffer, metrics, records = UsageBuffer(redis, capacity=count), load_metrics(), _records(count)
    for start in range(0, count, batch):
        buffer.add(records[start : start + batch], source="bench")
    started = time.perf_counter()
    flush_buffer(unit_of_work, buffer, metrics=metrics, longest_seconds=600)
    seconds = time.perf_counter() - started
    redis.close()
    return seconds


def _bench_http(
    name: str,
    port: int,
    group: int,
    engine: Engine,
    unit_of_work: UnitOfWork,
    settings: Settings,
    options: argparse.Namespace,
) -> None:
    requests = options.records // options.batch
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    buffer, metrics = UsageBuffer(redis, capacity=BUFFER_SIZE), load_metrics()
    acknowledged, in_rows, cpu_us, refused = [], [], [], 0
    for number in range(options.rounds + 1):
        _empty(engine)
        load = [sys.executable, "-m", "scripts.benches.usage_load", str(port), str(CONNECTIONS), str(requests)]
        with subprocess.Popen(
            [*load, str(options.batch), KEY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None  # noqa: S101 - a pipe was asked for
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            process.stdout.readline()
            cpu_before = _cpu_seconds(group)
            process.stdin.write("go\n")
            process.stdin.flush()
            started = time.perf_counter()
            while process.poll() is None or buffer.standing().records:
                flush_buffer(unit_of_work, buffer, metrics=metrics)
                time.sleep(0.005)
            seconds = time.perf_counter() - started
            result = json.loads(process.stdout.read())
        expected = requests * options.batch
        if _count(engine) != expected:
            raise SystemExit(f"{name}: {_count(engine)} rows for {expected} acknowledged records")
        if number:
            acknowledged.append(expected / result["seconds"])
            in_rows.append(expected / seconds)
            cpu_us.append((_cpu_seconds(group) - cpu_before) / expected * 1e6)
            refused += result["refused"]
    print(
        f"\nHTTP, batches of {options.batch}, {CONNECTIONS} connections, {name}: "
        f"{statistics.median(acknowledged):,.0f} records/s acknowledged, {statistics.median(in_rows):,.0f} in rows; "
        f"API CPU {statistics.median(cpu_us):.1f} µs/record; {refused} requests waited for room",
        flush=True,
    )
    redis.close()


@contextmanager
def _api(environment: dict[str, str], folder: Path) -> Iterator[tuple[int, int]]:
    port = choose_port()
    with (folder / f"{port}.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "billing_worker.http_api"],
            env={**environment, "BILLING_API_PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until_ready(
            "the API",
            lambda: _complaint(port),
            timeout_seconds=60,
            is_alive=lambda: process.poll() is None,
        )
        yield port, process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _cpu_seconds(group: int) -> float:
    """Add up the processor time of the API's process group."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _complaint(port: int) -> str | None:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
    except OSError as error:
        return str(error)
    return None


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE billing.billing_usage, billing.billing_usage_claims"))


def _count(engine: Engine) -> int:
    with engine.begin() as connection:
        return int(connection.execute(text("SELECT count(*) FROM billing.billing_usage")).scalar_one())


if __name__ == "__main__":
    main()
