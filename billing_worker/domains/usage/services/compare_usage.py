"""Set a user's raw records beside the rollups."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.usage.queries import reports
from billing_worker.domains.usage.queries.reports import BucketComparison
from billing_worker.domains.usage.rules import MetricCatalog, buckets_by_level
from billing_worker.domains.usage.states import Formula, Level
from billing_worker.kernel.periods import Period


def compare_usage(
    session: Session, *, user_id: str, span: Period, metrics: MetricCatalog, zone: ZoneInfo
) -> list[BucketComparison]:
    """Return each day of a span with what the raw records say and what the daily rollup says.

    Shape: `span` begins and ends at local midnights.
    """
    buckets = buckets_by_level(reports.list_used_slots(session, user_id=user_id, span=span), zone)
    return reports.list_bucket_comparisons(
        session,
        Level.DAILY,
        buckets[Level.DAILY],
        user_id=user_id,
        span=span,
        last_metrics=metrics.of_formula(Formula.LAST),
        unique_metrics=metrics.of_formula(Formula.UNIQUE),
    )
