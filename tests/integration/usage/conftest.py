"""What every test of metering needs: the shipped metrics and a recorder."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.domains.usage.services.record_usage import RecordOutcome, record_usage

Recorder = Callable[..., RecordOutcome]


@pytest.fixture(scope="session")
def metrics() -> MetricCatalog:
    return load_metrics()


@pytest.fixture
def utc() -> ZoneInfo:
    return ZoneInfo("UTC")


@pytest.fixture
def record(unit_of_work: UnitOfWork, metrics: MetricCatalog) -> Recorder:
    """Record some usage in a transaction of its own."""

    def recorder(*records: UsageRecord, source: str = "test") -> RecordOutcome:
        with unit_of_work.transaction() as session:
            return record_usage(session, records, metrics=metrics, source=source, now=unit_of_work.now())

    return recorder


@pytest.fixture
def as_owner(session: Session) -> Callable[[str], None]:
    """Run a statement on its own, committed."""

    def run(statement: str) -> None:
        session.execute(text(statement))
        session.commit()

    return run
