"""Explain a number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.usage.queries import records as queries
from billing_worker.domains.usage.queries.records import RawRecord
from billing_worker.domains.usage.queries.reports import list_adjustments
from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan, decompose, describe_formula, round_quantity
from billing_worker.domains.usage.services.measure_usage import measure_usage
from billing_worker.domains.usage.states import Level
from billing_worker.kernel.periods import Period


@dataclass(frozen=True, slots=True)
class ExplainedPiece:
    """A part of the span, the rollup it was read from, and its own number."""

    level: Level
    start: datetime
    end: datetime
    value: int
    records: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """A total with everything it is made of.

    Shape: `records_sha256` covers the aggregated records in order of their ids; `record_count` counts a record that
    was taken back as none. `adjustments` are late records of closed periods; they are not in the total.
    """

    user_id: str
    metric_type: str
    period: Period
    meaning: str
    total: int
    billed_quantity: int
    record_count: int
    records_sha256: str
    waiting: int
    pieces: Sequence[ExplainedPiece]
    records: Sequence[RawRecord]
    adjustments: Sequence[tuple[datetime, int, str]]


def explain_usage(session: Session, question: UsageSpan, *, metrics: MetricCatalog, zone: ZoneInfo) -> Explanation:
    """Lead a measured number back to its records.

    Raises: UnknownMetricError.
    """
    metric = metrics.get(question.metric_type)
    pieces = decompose(question.period, zone)
    spans = [UsageSpan(question.user_id, question.metric_type, Period(piece.start, piece.end)) for piece in pieces]
    whole, *parts = measure_usage(session, [question, *spans], metrics=metrics, zone=zone)
    found = list(queries.iterate_records(session, question.user_id, question.metric_type, question.period))
    counted = [record for record in found if record.aggregated]
    return Explanation(
        user_id=question.user_id,
        metric_type=question.metric_type,
        period=question.period,
        meaning=describe_formula(metric),
        total=whole.value,
        billed_quantity=round_quantity(whole.value, metric),
        record_count=whole.record_count,
        records_sha256=hash_records(counted),
        waiting=len(found) - len(counted),
        pieces=[
            ExplainedPiece(piece.level, piece.start, piece.end, part.value, part.record_count)
            for piece, part in zip(pieces, parts, strict=True)
            if part.record_count
        ],
        records=found,
        adjustments=list_adjustments(session, question.user_id, question.metric_type, question.period),
    )


def hash_records(records: Iterable[RawRecord]) -> str:
    """Hash what records say: one JSON array a line with id, time of use in UTC, value, unique key, corrected id."""
    digest = sha256()
    for one in records:
        told = [one.id, one.used_at.astimezone(UTC).isoformat(), one.value, one.unique_key, one.corrects_id]
        digest.update(f"{json.dumps(told, ensure_ascii=False)}\n".encode())
    return digest.hexdigest()
