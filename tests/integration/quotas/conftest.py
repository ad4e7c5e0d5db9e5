"""What every test of quotas needs: a way to use, to set and to read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.rules import Anchor, QuotaTerms
from billing_worker.domains.quotas.services.refresh_quota_usage import refresh_quota_usage
from billing_worker.domains.quotas.services.set_quota import set_quota
from billing_worker.domains.quotas.states import Enforcement
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.aggregate_usage import aggregate_usage
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.kernel.periods import PeriodKind

UTC_ZONE = ZoneInfo("UTC")

Use = Callable[..., None]
SetQuota = Callable[..., QuotaPeriod]
ReadPeriods = Callable[[], list[tuple[object, ...]]]


@pytest.fixture(scope="session")
def metrics() -> MetricCatalog:
    return load_metrics()


@pytest.fixture
def use(unit_of_work: UnitOfWork, metrics: MetricCatalog) -> Use:
    """Record, aggregate and carry over to the quotas."""

    def used(value: int, *, user: str = "user123", metric: str = "api_calls", at: datetime | None = None) -> None:
        record = UsageRecord(user, metric, value, created_at=at)
        with unit_of_work.transaction() as session:
            outcome = record_usage(session, [record], metrics=metrics, source="test", now=unit_of_work.now())
        assert outcome.accepted == 1
        aggregate_usage(unit_of_work, metrics=metrics, zone=UTC_ZONE)
        refresh_quota_usage(unit_of_work, metrics=metrics, zone=UTC_ZONE, enforcing=True)

    return used


@pytest.fixture
def set_terms(unit_of_work: UnitOfWork, metrics: MetricCatalog) -> SetQuota:
    def setter(
        limit: int,
        kind: str = "month",
        *,
        user: str = "user123",
        rollover: bool = False,
        soft: bool = False,
        anchor: Anchor | None = None,
        zone: ZoneInfo = UTC_ZONE,
    ) -> QuotaPeriod:
        enforcement = Enforcement.SOFT if soft else Enforcement.HARD
        terms = QuotaTerms(user, "api_calls", PeriodKind(kind), limit, enforcement, rollover, anchor)
        with unit_of_work.transaction() as session:
            return set_quota(
                session, terms, set_by="ops", metrics=metrics, zone=zone, enforcing=True, now=unit_of_work.now()
            )

    return setter


@pytest.fixture
def read_periods(engine: Engine) -> ReadPeriods:
    """Read all periods: start, end (month-day hour), limit, rolled over, used, status, blocked, closed by."""

    def reader() -> list[tuple[object, ...]]:
        statement = text(
            "SELECT to_char(period_start, 'MM-DD HH24'), to_char(period_end, 'MM-DD HH24'), limit_value, rolled_over, "
            "used_value, status, blocked_at IS NOT NULL, closed_by FROM billing_quota_periods "
            "ORDER BY user_id, period_start"
        )
        with engine.connect() as connection:
            connection.execute(text("SET LOCAL timezone = 'UTC'"))
            return [tuple(row) for row in connection.execute(statement)]

    return reader
