"""Measure usage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.usage.queries import spans as queries
from billing_worker.domains.usage.queries.spans import MeasuredParts
from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan, decompose, whole_bucket
from billing_worker.domains.usage.states import Formula, Level

_NOTHING = MeasuredParts(record_count=0, sum_value=0, max_value=0, last_value=None)


@dataclass(frozen=True, slots=True)
class Measurement:
    """A span's use: the metric's formula over its aggregated records."""

    value: int
    record_count: int


def measure_usage(
    session: Session, spans: Sequence[UsageSpan], *, metrics: MetricCatalog, zone: ZoneInfo
) -> list[Measurement]:
    """Measure any spans exactly, whatever their boundaries; answers come in the order of the questions.

    Shape: a frozen period is what it was when it was frozen; its raw records may be archived.
    """
    if not spans:
        return []
    covered = [(span, decompose(span.period, zone)) for span in spans]
    parts = queries.measure_pieces(session, covered)
    uniques: dict[int, int] = {}
    by_level: dict[Level | None, list[tuple[int, UsageSpan]]] = {}
    for position, (span, pieces) in enumerate(covered):
        if metrics.formula_of(span.metric_type) is Formula.UNIQUE:
            by_level.setdefault(whole_bucket(pieces, zone), []).append((position, span))
    for level, questions in by_level.items():
        if level is None:
            uniques |= queries.count_unique_keys(session, questions)
        else:
            uniques |= queries.list_rollup_uniques(session, level, questions)
    frozen = {position: Measurement(*kept) for position, kept in queries.find_frozen(session, spans).items()}
    return [
        frozen.get(position)
        or _measurement(metrics.formula_of(span.metric_type), parts.get(position, _NOTHING), uniques.get(position, 0))
        for position, span in enumerate(spans)
    ]


def _measurement(formula: Formula, parts: MeasuredParts, unique_count: int) -> Measurement:
    values = {
        Formula.SUM: parts.sum_value,
        Formula.COUNT: parts.record_count,
        Formula.MAX: parts.max_value,
        Formula.LAST: parts.last_value or 0,
        Formula.UNIQUE: unique_count,
    }
    return Measurement(values[formula], parts.record_count)
