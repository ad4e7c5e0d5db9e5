"""Prove the rollups."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.usage.queries import reports
from billing_worker.domains.usage.rules import MetricCatalog, buckets_by_level
from billing_worker.domains.usage.states import Formula


def count_rollup_differences(session: Session, *, metrics: MetricCatalog, zone: ZoneInfo) -> int:
    """Count the buckets of all rollups that differ from brute force over the aggregated raw records.

    Order: reads every record: for checks and summaries, not for a schedule on a large table.
    """
    buckets = buckets_by_level(reports.list_used_slots(session), zone)
    return sum(
        reports.count_differing_buckets(
            session,
            level,
            slots,
            last_metrics=metrics.of_formula(Formula.LAST),
            unique_metrics=metrics.of_formula(Formula.UNIQUE),
        )
        for level, slots in buckets.items()
    )
