from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis
from sqlalchemy import Engine

from billing_worker.app.slices import PROBES
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.kernel.clock import FixedClock
from billing_worker.routing.table import DISPATCHER
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.worker.container import Container
from billing_worker.worker.ledger.rules import schedule_of
from billing_worker.worker.queues import QUOTAS, USAGE
from billing_worker.worker.tasks import registry
from billing_worker.worker.wake import Waker
from schedules import JOBS
from tests.integration.quotas.conftest import ReadPeriods, SetQuota

OURS = ("open_usage_batches", "usage_marks", "due_quota_resets")


@pytest.fixture
def container(
    settings: Settings, engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock, redis: Redis
) -> Container:
    return Container(
        settings=settings,
        engine=engine,
        unit_of_work=unit_of_work,
        clock=clock,
        redis=redis,
        waker=Waker(settings.broker_url, redis, webhook_queues=4),
        stripe=StripeGateway(settings),
        reactions=DISPATCHER,
    )


def due(unit_of_work: UnitOfWork) -> list[str]:
    """Name the probes of ours that find something."""
    with unit_of_work.transaction() as session:
        return [probe.name for probe in PROBES if probe.name in OURS and probe.due(session, unit_of_work.now())]


def use(unit_of_work: UnitOfWork, metrics: MetricCatalog, value: int) -> None:
    with unit_of_work.transaction() as session:
        record = UsageRecord("user123", "api_calls", value)
        record_usage(session, [record], metrics=metrics, source="test", now=unit_of_work.now())


def test_probes_lead_from_usage_to_a_block_and_from_its_end_to_the_release(
    container: Container,
    unit_of_work: UnitOfWork,
    metrics: MetricCatalog,
    clock: FixedClock,
    set_terms: SetQuota,
    read_periods: ReadPeriods,
) -> None:
    set_terms(10, "day")
    assert due(unit_of_work) == []
    use(unit_of_work, metrics, 10)
    assert due(unit_of_work) == ["open_usage_batches"]
    report = registry["usage.aggregate"].run(container, {"due_at": "2026-03-01T12:00:00+00:00", "from_the_future": 1})
    assert report == {"rounds": 1, "batches": 1, "records": 1, "slot": "2026-03-01T12:00:00+00:00"}
    assert due(unit_of_work) == ["usage_marks"]
    assert registry["quotas.refresh_usage"].run(container, {}) == {"periods": 1, "blocked": 1, "released": 0}
    assert due(unit_of_work) == []
    clock.advance(timedelta(hours=12))
    assert due(unit_of_work) == ["due_quota_resets"]
    slot = "2026-03-02T00:05:00+00:00"
    report = registry["quotas.reset_due"].run(container, {"due_at": slot})
    assert report == {"closed": 1, "passed": 0, "released": 1, "slot": slot}
    assert due(unit_of_work) == []
    assert read_periods() == [
        ("03-01 00", "03-02 00", 10, 0, 10, "closed", True, f"quota_reset {slot}"),
        ("03-02 00", "03-03 00", 10, 0, 0, "open", False, None),
    ]


def test_the_reset_counts_what_was_used_up_to_the_end_even_if_not_aggregated_yet(
    container: Container,
    unit_of_work: UnitOfWork,
    metrics: MetricCatalog,
    clock: FixedClock,
    set_terms: SetQuota,
    read_periods: ReadPeriods,
) -> None:
    set_terms(10, "day", rollover=True)
    use(unit_of_work, metrics, 7)
    clock.advance(timedelta(hours=12))
    registry["quotas.reset_due"].run(container, {})
    assert [row[2:] for row in read_periods()] == [
        (10, 0, 7, "closed", False, "quota_reset"),
        (10, 3, 0, "open", False, None),
    ]


def test_a_backlog_calls_as_many_helpers_as_it_can_feed(
    container: Container, unit_of_work: UnitOfWork, metrics: MetricCatalog, redis: Redis
) -> None:
    parallel = container.settings.model_copy(
        update={"usage_aggregation_parallel": True, "usage_aggregation_workers": 4}
    )
    helped = Container(**{**vars(container), "settings": parallel})
    with unit_of_work.transaction() as session:
        for _ in range(1001):
            record = UsageRecord("user123", "api_calls", 1)
            record_usage(session, [record], metrics=metrics, source="test", now=unit_of_work.now())
    assert registry["usage.aggregate"].run(helped, {})["records"] == 1001
    assert redis.llen(USAGE) == 2
    use(unit_of_work, metrics, 1)
    registry["usage.aggregate"].run(helped, {})
    registry["usage.aggregate"].run(helped, {"alone": True})
    assert redis.llen(USAGE) == 2


def test_the_jobs_can_be_kept(settings: Settings) -> None:
    aggregation, resets = JOBS["usage_aggregation"], JOBS["quota_reset"]
    assert registry[aggregation.task].queue == aggregation.queue == USAGE
    assert registry[resets.task].queue == resets.queue == QUOTAS
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    assert schedule_of(resets, settings).cadence.at_or_after(midnight) == midnight + timedelta(minutes=5)
    assert schedule_of(aggregation, settings).cadence.at_or_after(
        midnight + timedelta(seconds=1)
    ) == midnight + timedelta(minutes=1)
