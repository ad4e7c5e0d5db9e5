"""Bring the rollups up to the raw records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from billing_worker.database.locks import LockClass, share_lock
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.queries import rollups, uniques
from billing_worker.domains.usage.queries.rollups import ClaimedBatches, OpenBatch
from billing_worker.domains.usage.rules import MetricCatalog, buckets_by_level, slots_between
from billing_worker.domains.usage.states import ROLLUPS, Formula

BATCHES_PER_ROUND = 500
RECORDS_PER_ROUND = 50_000
"""One round stays near a second, so that parallel rounds wait little for each other's rollup rows."""

SLOTS_UNASKED = 200
"""Two days: to look for the used ones among them would read every record once more."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AggregationReport:
    """What a drain of open batches did."""

    rounds: int
    batches: int
    records: int


def aggregate_usage(
    unit_of_work: UnitOfWork,
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    batches_per_round: int = BATCHES_PER_ROUND,
    max_rounds: int = 200,
) -> AggregationReport:
    """Add every open batch to the hourly, daily and monthly rollups, in any order of arrival.

    Phases: one transaction per round: claim, add, leave dirty marks, finish.
    Idempotent by: a batch is finished in the transaction that adds it.
    Locks: batches with SKIP LOCKED, then rollup rows by level and key; any number may run side by side.
    """
    rounds = batches = records = 0
    while rounds < max_rounds:
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            share_lock(session, LockClass.USAGE_AGGREGATION, 0)
            claimed = _bounded(rollups.claim_open_batches(session, batch_limit=batches_per_round))
            if not claimed:
                break
            _add(session, claimed, metrics=metrics, zone=zone, now=now)
        rounds += 1
        batches += len(claimed)
        records += sum(batch.record_count for batch in claimed)
    if rounds:
        _log.info("usage_aggregation", rounds=rounds, batches=batches, records=records)
    return AggregationReport(rounds, batches, records)


def _slots(session: Session, claimed: ClaimedBatches) -> list[datetime]:
    """Return quarter hours that hold all records: every one of a short time, or those that are in use."""
    between = slots_between(claimed.first_at, claimed.last_at)
    return between if len(between) <= SLOTS_UNASKED else rollups.list_slots(session, claimed)


def _bounded(batches: Sequence[OpenBatch]) -> list[OpenBatch]:
    """Keep the oldest batches up to the round's size; the first one always, however large."""
    kept: list[OpenBatch] = []
    total = 0
    for batch in batches:
        total += batch.record_count
        if kept and total > RECORDS_PER_ROUND:
            break
        kept.append(batch)
    return kept


def _add(
    session: Session, batches: Sequence[OpenBatch], *, metrics: MetricCatalog, zone: ZoneInfo, now: datetime
) -> None:
    claimed = ClaimedBatches(
        ids=[batch.id for batch in batches],
        first_at=min(batch.first_at for batch in batches),
        last_at=max(batch.last_at for batch in batches),
    )
    buckets = buckets_by_level(_slots(session, claimed), zone)
    rollups.prefer_hashing(session)
    touched = rollups.merge_rollups(session, claimed, buckets, metered_metrics=metrics.metered(), now=now)
    if last_metrics := sorted(touched.intersection(metrics.of_formula(Formula.LAST))):
        for level in ROLLUPS:
            rollups.merge_last(session, level, claimed, buckets[level], last_metrics=last_metrics)
    if unique_metrics := sorted(touched.intersection(metrics.of_formula(Formula.UNIQUE))):
        uniques.add_unique_keys(session, claimed, buckets, unique_metrics=unique_metrics)
    rollups.finish_batches(session, claimed.ids, now=now)
