"""Quota checks: warm leases in one process, against a bare Redis script and against a row lock per check.

    scripts/bench quota [--callers 50] [--seconds 3] [--rounds 5] [--users 1]

All ways run with the same callers, threads of one process, each asking as soon as it has its answer; rounds alternate
and the medians of the rounds are printed. `script` is the smallest script that could decide anything (one decrement,
through the same client); `row lock` is SELECT … FOR UPDATE, UPDATE, COMMIT with a connection for every second caller.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, text

from billing_worker.database.clock import DatabaseClock
from billing_worker.database.engine import build_engine
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.gate import QuotaGate
from billing_worker.domains.quotas.lease_store import LeaseStore, connect
from billing_worker.domains.quotas.rules import QuotaTerms
from billing_worker.domains.quotas.services.set_quota import set_quota
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.kernel.periods import PeriodKind
from billing_worker.runtime.settings import load_settings
from billing_worker.stack.ephemeral import ephemeral_servers
from scripts.benches.inbox_load import print_machine, quiet_logs
from tests.support.databases import migrate

BARE = "return redis.call('HINCRBY', KEYS[1], ARGV[1], -ARGV[2])"
METRIC = "api_calls"
LIMIT = 10**12
SETTLE_SECONDS = 0.3
"""Before this a round is warming up: connections open, leases come."""

Call = Callable[[int], bool]


@dataclass(frozen=True)
class Round:
    """One run of one way; times in µs."""

    p50: float
    p99: float
    rate: float


def measure(call: Call, callers: int, seconds: float) -> Round:
    """Let every caller ask one time after the other, and time each answer."""
    barrier = threading.Barrier(callers)
    refused: list[int] = []

    def ask(number: int) -> list[tuple[float, float]]:
        barrier.wait()
        begun = time.perf_counter()
        times: list[tuple[float, float]] = []
        now = begun
        while now - begun < seconds:
            if not call(number):
                refused.append(number)
            after = time.perf_counter()
            times.append((now - begun, after - now))
            now = after
        return times

    with ThreadPoolExecutor(callers) as threads:
        answers = [took for times in threads.map(ask, range(callers)) for at, took in times if at > SETTLE_SECONDS]
    if refused:
        raise SystemExit(f"{len(refused)} checks were refused: nothing was measured")
    cuts = statistics.quantiles(answers, n=100)
    return Round(cuts[49] * 1e6, cuts[98] * 1e6, len(answers) / (seconds - SETTLE_SECONDS))


def prepare(engine: Engine, users: list[str]) -> UnitOfWork:
    """Give every user a quota, and the baseline a counter row of its own."""
    unit_of_work = UnitOfWork(engine, DatabaseClock(engine), statement_timeout=timedelta(seconds=30))
    now = unit_of_work.now()
    with unit_of_work.transaction() as session:
        session.execute(text("CREATE TABLE bench_counters (user_id text PRIMARY KEY, used bigint, granted bigint)"))
        for user in users:
            session.execute(
                text("INSERT INTO bench_counters VALUES (:user, 0, :limit)"), {"user": user, "limit": LIMIT}
            )
            terms = QuotaTerms(user, METRIC, PeriodKind.MONTH, LIMIT)
            set_quota(
                session, terms, set_by="bench", metrics=load_metrics(), zone=ZoneInfo("UTC"), enforcing=True, now=now
            )
    return unit_of_work


def row_lock(engine: Engine, users: list[str]) -> Call:
    """The usual way: lock the counter, look, count."""
    look = text("SELECT granted - used FROM bench_counters WHERE user_id = :user FOR UPDATE")
    count = text("UPDATE bench_counters SET used = used + 1 WHERE user_id = :user")

    def call(number: int) -> bool:
        user = {"user": users[number % len(users)]}
        with engine.begin() as connection:
            left: int = connection.execute(look, user).scalar_one()
            connection.execute(count, user)
        return left > 0

    return call


def show(results: dict[str, list[Round]]) -> None:
    """Print the medians of the rounds, and the ratios that count."""
    medians = {
        way: Round(*(statistics.median(getattr(one, name) for one in rounds) for name in ("p50", "p99", "rate")))
        for way, rounds in results.items()
    }
    for way, one in medians.items():
        print(f"{way:<9} p50 {one.p50:8.0f} µs   p99 {one.p99:8.0f} µs   {one.rate:8.0f} checks/s")
    gate, script, lock = medians["gate"], medians["script"], medians["row lock"]
    print(f"gate : script    p50 {gate.p50 / script.p50:.2f}   p99 {gate.p99 / script.p99:.2f}")
    print(f"row lock : gate  p50 {lock.p50 / gate.p50:.1f}   checks/s {gate.rate / lock.rate:.1f}")


def main() -> None:
    """Measure the three ways in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--users", type=int, default=1)
    options = parser.parse_args()
    quiet_logs()
    users = [f"user{number}" for number in range(options.users)]
    with (
        tempfile.TemporaryDirectory() as folder,
        ephemeral_servers(Path(folder), postgres=True, redis=True, durable=True) as servers,
    ):
        migrate(servers.database_url)
        engine = build_engine(
            load_settings({"DATABASE_URL": servers.database_url}),
            application_name="bench",
            pool_size=max(options.callers // 2, 5),
        )
        redis = connect(servers.redis_url)
        unit_of_work = prepare(engine, users)
        print_machine(unit_of_work)
        gate = QuotaGate(unit_of_work, LeaseStore(redis), metrics=load_metrics(), zone=ZoneInfo("UTC"), enforcing=True)
        sha = redis.script_load(BARE)
        redis.hset("bench", "field", 2**50)
        ways: dict[str, Call] = {
            "script": lambda _: int(redis.evalsha(sha, 1, "bench", "field", 1)) > 0,
            "gate": lambda number: gate.check(users[number % len(users)], METRIC).allowed,
            "row lock": row_lock(engine, users),
        }
        results: dict[str, list[Round]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, call in ways.items():
                results[way].append(measure(call, options.callers, options.seconds))
        show(results)
        redis.close()
        engine.dispose()


if __name__ == "__main__":
    main()
