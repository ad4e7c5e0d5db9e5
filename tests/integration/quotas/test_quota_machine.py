"""Any order of checks, reservations, flushes, kills, outages and clocks: never oversold, nothing lost for good."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from redis import Redis
from sqlalchemy import text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.gate import QuotaGate
from billing_worker.domains.quotas.lease_store import LeaseStore, connect
from billing_worker.domains.quotas.rules import QuotaTerms
from billing_worker.domains.quotas.services.end_reservation import end_reservation
from billing_worker.domains.quotas.services.set_quota import set_quota
from billing_worker.domains.quotas.services.settle_expired_leases import settle_expired_leases
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.periods import PeriodKind
from tests.integration.quotas.conftest import UTC_ZONE

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOWHERE = "redis://127.0.0.1:1/0"
LIMIT = 300
PHASES = (Phase.explicit, Phase.generate)
"""A failure is told as it was found: every step takes real servers some milliseconds, and shrinking takes thousands."""
_numbers = itertools.count()


class World:
    """The servers that every example uses; each example has a user of its own."""

    def __init__(self, unit_of_work: UnitOfWork, redis: Redis, redis_url: str, metrics: MetricCatalog) -> None:
        self.unit_of_work, self.redis, self.metrics = unit_of_work, redis, metrics
        self.clock = FixedClock(NOW)
        self.unit_of_work.clock = self.clock
        self.here, self.away = connect(redis_url), connect(NOWHERE)

    def gate(self, *, reaches_redis: bool = True) -> QuotaGate:
        return QuotaGate(
            self.unit_of_work,
            LeaseStore(self.here if reaches_redis else self.away),
            metrics=self.metrics,
            zone=UTC_ZONE,
            enforcing=True,
            clock=lambda: self.clock.now().timestamp(),
        )

    def close(self) -> None:
        self.here.close()
        self.away.close()


class QuotaMachine(RuleBasedStateMachine):
    """A model with three numbers: granted, held by reservations, limit."""

    world: World

    @initialize()
    def begin(self) -> None:
        self.user = f"user{next(_numbers)}"
        self.granted = 0
        self.reservations: dict[object, int] = {}
        self.was_killed = self.was_flushed = False
        self.gates = [self.world.gate(), self.world.gate(), self.world.gate(reaches_redis=False)]
        terms = QuotaTerms(self.user, "api_calls", PeriodKind.MONTH, LIMIT)
        with self.world.unit_of_work.transaction() as session:
            set_quota(
                session,
                terms,
                set_by="ops",
                metrics=self.world.metrics,
                zone=UTC_ZONE,
                enforcing=True,
                now=self.world.clock.now(),
            )

    @rule(host=st.integers(0, 2), units=st.sampled_from([1, 2, 7, 40]), times=st.integers(1, 6))
    def check(self, host: int, units: int, times: int) -> None:
        for _ in range(times):
            if self.gates[host].check(self.user, "api_calls", units).allowed:
                self.granted += units
            assert self.granted + sum(self.reservations.values()) <= LIMIT

    @rule(host=st.integers(0, 1), units=st.sampled_from([1, 30, 120]))
    def reserve(self, host: int, units: int) -> None:
        made = self.gates[host].reserve(uuid4(), self.user, "api_calls", units, lasts=timedelta(hours=12)).reservation
        if made is not None:
            self.reservations[made.id] = units
        assert self.granted + sum(self.reservations.values()) <= LIMIT

    @precondition(lambda self: self.reservations)
    @rule(is_done=st.booleans(), share=st.integers(0, 100))
    def end(self, is_done: bool, share: int) -> None:  # noqa: FBT001 - hypothesis passes by name
        reservation_id, units = self.reservations.popitem()
        spent = units * share // 100
        with self.world.unit_of_work.transaction() as session:
            end_reservation(
                session,
                reservation_id,  # type: ignore[arg-type]  # keys of our own dict
                is_done=is_done,
                units=spent if is_done else None,
                enforcing=True,
                now=self.world.clock.now(),
            )
        self.granted += spent if is_done else 0

    @rule(host=st.integers(0, 1), times=st.integers(0, 3))
    def flush(self, host: int, times: int) -> None:
        self.check(host, 1, 3)
        self.world.redis.flushdb()
        self.was_flushed = True
        self.check(host, 1, times)

    @rule(host=st.integers(0, 1))
    def kill(self, host: int) -> None:
        self.gates[host] = self.world.gate()
        self.was_killed = True

    @rule(seconds=st.sampled_from([1, 31, 200]))
    def wait(self, seconds: int) -> None:
        self.world.clock.advance(timedelta(seconds=seconds))

    @rule(host=st.integers(0, 1))
    def report(self, host: int) -> None:
        self.gates[host].report()

    @rule(reaches_redis=st.booleans())
    def settle(self, reaches_redis: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
        store = LeaseStore(self.world.here if reaches_redis else self.world.away)
        settle_expired_leases(self.world.unit_of_work, store, enforcing=True)

    def teardown(self) -> None:
        for gate in self.gates:
            gate.report(everything=True)
        self.world.clock.advance(timedelta(minutes=4))
        self.settle(reaches_redis=True)
        with self.world.unit_of_work.transaction() as session:
            spent, held = session.execute(
                text(
                    "SELECT spent_value, (SELECT count(*) FROM billing_quota_leases l WHERE l.quota_period_id = p.id "
                    "AND returned_at IS NULL) FROM billing_quota_periods p WHERE user_id = :user"
                ),
                {"user": self.user},
            ).one()
        assert held == 0
        assert self.granted <= spent <= LIMIT
        if not (self.was_killed and self.was_flushed):
            assert spent == self.granted
        left = LIMIT - spent - sum(self.reservations.values())
        assert not self.gates[0].check(self.user, "api_calls", left + 1).allowed
        assert left == 0 or self.gates[0].check(self.user, "api_calls", left).allowed


def test_never_oversold_and_nothing_lost(
    unit_of_work: UnitOfWork, redis: Redis, redis_url: str, metrics: MetricCatalog
) -> None:
    world = World(unit_of_work, redis, redis_url, metrics)

    class Machine(QuotaMachine):
        pass

    Machine.world = world
    patient = settings(max_examples=15, stateful_step_count=20, suppress_health_check=list(HealthCheck), phases=PHASES)
    run_state_machine_as_test(Machine, settings=patient)
    world.close()
