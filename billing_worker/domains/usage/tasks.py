"""Tasks of metering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.usage.buffer import UsageBuffer
from billing_worker.domains.usage.queries import reports
from billing_worker.domains.usage.services.aggregate_usage import BATCHES_PER_ROUND, aggregate_usage
from billing_worker.domains.usage.services.flush_buffer import flush_buffer
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import USAGE
from billing_worker.worker.tasks import task

AGGREGATE = "usage.aggregate"
FLUSH_BUFFER = "usage.flush_buffer"


@task(AGGREGATE, queue=USAGE, soft_limit_seconds=240, hard_limit_seconds=300)
def aggregate(container: Container, *, due_at: str | None = None, alone: bool = False) -> Mapping[str, object]:
    """Aggregate every open batch; with USAGE_AGGREGATION_PARALLEL and a backlog, call other workers to help.

    Idempotent by: batches are claimed with SKIP LOCKED and finished with their deltas, so helpers share the work.
    """
    settings = container.settings
    if settings.usage_aggregation_parallel and not alone:
        _call_helpers(container)
    report = aggregate_usage(container.unit_of_work, metrics=load_metrics(), zone=settings.billing_timezone)
    return {"rounds": report.rounds, "batches": report.batches, "records": report.records, "slot": due_at}


def _call_helpers(container: Container) -> None:
    with container.unit_of_work.transaction() as session:
        wanted = container.settings.usage_aggregation_workers
        waiting = reports.count_open_batches(session, limit=wanted * BATCHES_PER_ROUND)
    for _ in range(min(wanted - 1, waiting // BATCHES_PER_ROUND)):
        container.waker.send(AGGREGATE, queue=USAGE, kwargs={"alone": True})


@task(FLUSH_BUFFER, queue=USAGE, soft_limit_seconds=60, hard_limit_seconds=90, quiet_when_idle=True)
def flush(container: Container, *, due_at: str | None = None) -> Mapping[str, object]:  # noqa: ARG001 - the ledger's
    """Flush the Redis buffer; when it is not empty after a while, come again behind whoever waits.

    Idempotent by: keys of the records; collectors may run side by side.
    """
    buffer = UsageBuffer(container.redis, capacity=container.settings.usage_buffer_size)
    report = flush_buffer(container.unit_of_work, buffer, metrics=load_metrics())
    if report.unfinished:
        container.waker.send(FLUSH_BUFFER, queue=USAGE, kwargs={})
    return asdict(report)


def _open_batches(session: Session, _now: datetime) -> int:
    return reports.count_open_batches(session, limit=1)


PROBES: tuple[Probe, ...] = (Probe("open_usage_batches", AGGREGATE, USAGE, _open_batches),)
