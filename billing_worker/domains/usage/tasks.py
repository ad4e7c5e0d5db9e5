"""Tasks of metering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from socket import gethostname

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.usage.buffer import UsageBuffer
from billing_worker.domains.usage.queries import meters, reports
from billing_worker.domains.usage.reading import read_records
from billing_worker.domains.usage.rules import TEXT_MAX
from billing_worker.domains.usage.services.aggregate_usage import BATCHES_PER_ROUND, aggregate_usage
from billing_worker.domains.usage.services.flush_buffer import flush_buffer
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.domains.usage.services.plan_meter_events import CLOSED_AFTER, plan_meter_events
from billing_worker.domains.usage.services.prune_claims import prune_claims
from billing_worker.domains.usage.services.record_group import UsageCall, record_group
from billing_worker.domains.usage.services.release_held import release_held
from billing_worker.domains.usage.services.send_meter_events import send_meter_events
from billing_worker.domains.usage.states import Unknown
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import EFFECTS, USAGE
from billing_worker.worker.tasks import task
from billing_worker.worker.uptime import COLLECTOR, tell_alive

AGGREGATE = "usage.aggregate"
FLUSH_BUFFER = "usage.flush_buffer"
PRUNE_KEYS = "usage.prune_keys"
RECORD = "usage.record"
REPORT_METERS = "usage.report_meters"
RELEASE_HELD = "usage.release_held"

_log = structlog.get_logger(__name__)


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
    with container.unit_of_work.transaction() as session:
        tell_alive(session, COLLECTOR, instance=gethostname(), now=container.unit_of_work.now())
    buffer = UsageBuffer(container.redis, capacity=container.settings.usage_buffer_size)
    report = flush_buffer(container.unit_of_work, buffer, metrics=load_metrics())
    if report.unfinished:
        container.waker.send(FLUSH_BUFFER, queue=USAGE, kwargs={})
    return asdict(report)


@task(RELEASE_HELD, queue=USAGE, soft_limit_seconds=240, hard_limit_seconds=300, quiet_when_idle=True)
def release(container: Container, *, due_at: str | None = None) -> Mapping[str, object]:  # noqa: ARG001 - the ledger's
    """Release held usage whose user and metric are known by now."""
    return asdict(release_held(container.unit_of_work, metrics=load_metrics()))


@task(PRUNE_KEYS, queue=USAGE, soft_limit_seconds=1700, hard_limit_seconds=1800)
def prune_keys(container: Container, *, due_at: str | None = None) -> Mapping[str, object]:  # noqa: ARG001 - the ledger's
    """Forget idempotency keys that were first seen more than 35 days ago."""
    return {"deleted": prune_claims(container.unit_of_work, now=container.unit_of_work.now())}


@task(RECORD, queue=USAGE, soft_limit_seconds=60, hard_limit_seconds=90)
def record(
    container: Container, *, records: Sequence[Mapping[str, object]] = (), source: str = "task", version: int = 1
) -> Mapping[str, object]:
    """Record usage that another program sent as a message; the arguments are a contract, see docs/usage-and-quotas.md.

    Idempotent by: the records' keys; a message that comes twice counts once.
    """
    settings = container.settings
    read = read_records(records, version=version, keyless=settings.usage_allow_keyless)
    [outcome] = record_group(
        container.unit_of_work,
        [UsageCall(read.records, source[:TEXT_MAX])],
        metrics=load_metrics(),
        unknown=Unknown(settings.usage_unknown),
    )
    refused = {**read.errors, **{read.positions[one.index]: one.error for one in outcome.refused}}
    if refused:
        _log.error("usage_refused", source=source, records={index: str(error) for index, error in refused.items()})
    return {"accepted": outcome.accepted, "duplicates": outcome.duplicates, "refused": len(refused)}


@task(REPORT_METERS, queue=EFFECTS, soft_limit_seconds=240, hard_limit_seconds=300, quiet_when_idle=True)
def report_meters(container: Container) -> Mapping[str, object]:
    """Work out what Stripe's meters are to be told of closed hours, and tell it."""
    unit_of_work, metrics, hours = container.unit_of_work, load_metrics(), 0
    while True:
        with unit_of_work.transaction() as session:
            planned = plan_meter_events(
                session, metrics=metrics, zone=container.settings.billing_timezone, now=unit_of_work.now()
            )
        if not planned:
            break
        hours += planned
    report = send_meter_events(unit_of_work, container.stripe)
    return {"hours": hours, **report.by_status}


def _untold_meters(session: Session, now: datetime) -> int:
    return meters.count_due(session, now=now, before=now - CLOSED_AFTER)


def _open_batches(session: Session, _now: datetime) -> int:
    return reports.count_open_batches(session, limit=1)


PROBES: tuple[Probe, ...] = (
    Probe("open_usage_batches", AGGREGATE, USAGE, _open_batches),
    Probe("untold_meter_events", REPORT_METERS, EFFECTS, _untold_meters),
)
