"""Set a user's quota counters beside the rollups and the raw records."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries.comparisons import RawUse, read_raw_use
from billing_worker.domains.quotas.queries.periods import QuotaPeriod, get_open_periods_of_user
from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan
from billing_worker.domains.usage.services.measure_usage import measure_usage


@dataclass(frozen=True, slots=True)
class QuotaComparison:
    """One quota: its counter, what the rollups say, what the raw records say."""

    period: QuotaPeriod
    rollups: int
    raw: RawUse

    @property
    def differs(self) -> bool:
        """Say whether something is wrong that waiting does not mend."""
        counter = self.period.use.used_value
        return self.raw.waiting == 0 and not counter == self.rollups == self.raw.value


def compare_quota(session: Session, user_id: str, *, metrics: MetricCatalog, zone: ZoneInfo) -> list[QuotaComparison]:
    """Compare each open period of a user.

    Raises: QuotaNotFoundError.
    """
    opened = get_open_periods_of_user(session, user_id)
    spans = [UsageSpan(user_id, one.terms.metric_type, one.period) for one in opened]
    measured = measure_usage(session, spans, metrics=metrics, zone=zone)
    return [
        QuotaComparison(
            one,
            measurement.value,
            read_raw_use(
                session, user_id, one.terms.metric_type, metrics.formula_of(one.terms.metric_type), one.period
            ),
        )
        for one, measurement in zip(opened, measured, strict=True)
    ]
