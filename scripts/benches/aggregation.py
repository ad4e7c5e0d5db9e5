"""Aggregation against one plain GROUP BY over the same new rows, with growing history, and the delay of late records.

Everything shares the machine: PostgreSQL with fsync, and the aggregator. Trust the ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, text

from billing_worker.database.clock import DatabaseClock
from billing_worker.database.engine import build_engine
from billing_worker.database.partitions import ensure_partitions
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.rules import UsageRecord
from billing_worker.domains.usage.services.aggregate_usage import aggregate_usage
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.runtime.logs import configure_logs
from billing_worker.runtime.settings import load_settings
from billing_worker.stack.ephemeral import ephemeral_servers

UTC = ZoneInfo("UTC")
BATCH = 500
"""Records per batch, as applications send them."""

LATE_RECORDS = 10_000

# What an operator would run over rows that are in no rollup yet: one level, no lookup of zones, nothing written.
GROUP_BY = """
SELECT user_id, metric_type, date_trunc('hour', created_at), count(*), sum(value), max(value)
FROM billing.billing_usage WHERE batch_id > :after GROUP BY 1, 2, 3
"""


def main() -> None:
    """Run the rounds and print medians."""
    parser = argparse.ArgumentParser(prog="scripts/bench aggregation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=50_000, help="new rows per round")
    parser.add_argument("--history", type=int, default=30_000, help="rows before; then ten times as many")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nself-bench-")))
        log = stack.enter_context((folder / "bench.log").open("w"))
        servers = stack.enter_context(ephemeral_servers(folder / "servers", durable=True))
        environment = {"PATH": os.environ["PATH"], "DATABASE_URL": servers.database_url, "NSELF_HOME": str(folder)}
        subprocess.run([sys.executable, "-m", "migrations", "upgrade"], env=environment, check=True)
        engine = build_engine(load_settings(environment), application_name="bench")
        unit_of_work = UnitOfWork(engine, DatabaseClock(engine), statement_timeout=timedelta(minutes=1))
        with unit_of_work.transaction() as session:
            ensure_partitions(session, unit_of_work.now())
        real_stderr, sys.stderr = sys.stderr, log  # the log is part of the work and goes to a file
        configure_logs(level="info", service="bench")
        sys.stderr = real_stderr
        print(f"{os.cpu_count()} cores, {options.rounds} rounds of {options.records:,} records; medians\n")
        print("| records per group | GROUP BY, ms | aggregation, ms | ratio |\n|---:|---:|---:|---:|", flush=True)
        for per_group in (100, 4):
            _against_group_by(engine, unit_of_work, per_group, options)
        _with_history(engine, unit_of_work, options)
        engine.dispose()


def _against_group_by(engine: Engine, unit_of_work: UnitOfWork, per_group: int, options: argparse.Namespace) -> None:
    plain, own = [], []
    for number in range(options.rounds + 1):
        users = options.records // per_group
        after = _record(unit_of_work, options.records, users, prefix=f"r{number}g{per_group}")
        _analyze(engine)
        one, other = _group_by(engine, after), _aggregate(unit_of_work, options.records)
        if number:  # the first round warms up
            plain.append(one)
            own.append(other)
    ratio = statistics.median(one / other for one, other in zip(plain, own, strict=True))
    print(
        f"| {per_group} | {statistics.median(plain) * 1e3:,.0f} | {statistics.median(own) * 1e3:,.0f} | {ratio:.2f} |",
        flush=True,
    )


def _with_history(engine: Engine, unit_of_work: UnitOfWork, options: argparse.Namespace) -> None:
    print(f"\n| rows before | {LATE_RECORDS:,} late records exact after, ms |\n|---:|---:|", flush=True)
    for rows in (options.history, options.history * 10):
        missing = rows - _count(engine)
        if missing > 0:
            _record(unit_of_work, missing, 1_000, prefix="h", days=25)
            aggregate_usage(unit_of_work, metrics=load_metrics(), zone=UTC)
            _analyze(engine)
        times = []
        for number in range(options.rounds):
            _record(unit_of_work, LATE_RECORDS, 1_000, prefix="h", days=25)
            times.append(_aggregate(unit_of_work, LATE_RECORDS))
            del number
        print(f"| {_count(engine):,} | {statistics.median(times) * 1e3:,.0f} |", flush=True)


def _record(unit_of_work: UnitOfWork, count: int, users: int, *, prefix: str, days: int = 0) -> int:
    """Record in batches and return the id before the first."""
    metrics, now = load_metrics(), unit_of_work.now()
    with unit_of_work.transaction() as session:
        after = session.execute(text("SELECT coalesce(max(id), 0) FROM billing.billing_usage_batches")).scalar_one()
    with unit_of_work.transaction() as session:
        for start in range(0, count, BATCH):
            records = [
                UsageRecord(
                    f"{prefix}-{index % users}",
                    "api_calls",
                    index % 9 + 1,
                    now - timedelta(hours=index % (24 * days)) if days else None,
                )
                for index in range(start, min(start + BATCH, count))
            ]
            record_usage(session, records, metrics=metrics, source="bench", now=now)
    return int(after)


def _group_by(engine: Engine, after: int) -> float:
    with engine.connect() as connection:
        started = time.perf_counter()
        connection.execute(text(GROUP_BY), {"after": after}).all()
        return time.perf_counter() - started


def _aggregate(unit_of_work: UnitOfWork, expected: int) -> float:
    started = time.perf_counter()
    report = aggregate_usage(unit_of_work, metrics=load_metrics(), zone=UTC)
    seconds = time.perf_counter() - started
    if report.records != expected:
        raise SystemExit(f"{report.records} records aggregated of {expected}")
    return seconds


def _analyze(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("ANALYZE billing.billing_usage"))
        connection.commit()


def _count(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM billing.billing_usage")).scalar_one())


if __name__ == "__main__":
    main()
