"""The shop's metered use: records spread over each step, the same in every run."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.rules import QuotaTerms
from billing_worker.domains.quotas.services.set_quota import set_quota
from billing_worker.domains.quotas.states import Enforcement
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.kernel.periods import PeriodKind
from billing_worker.rehearsal.shop import Person, Shop

METRIC = "api_calls"
REPEATED = 10
"""Every tenth record is sent a second time with its key, as applications do after a time-out."""


class Meter:
    """Records what people use, and grants them their quotas."""

    def __init__(self, unit_of_work: UnitOfWork, shop: Shop, metrics: MetricCatalog, zone: ZoneInfo) -> None:
        self._unit_of_work = unit_of_work
        self._shop = shop
        self._metrics = metrics
        self._zone = zone
        self._random = random.Random(20260301)  # noqa: S311 - the same month every time
        self._granted: set[str] = set()
        self.recorded = 0
        self.repeated = 0

    def grant_once(self, person: Person) -> None:
        """Give a new customer a daily quota; it reports and does not block, so that usage goes on."""
        if person.name in self._granted:
            return
        self._granted.add(person.name)
        terms = QuotaTerms(
            self._shop.user_of(person), METRIC, PeriodKind.DAY, person.quota, enforcement=Enforcement.SOFT
        )
        with self._unit_of_work.transaction() as session:
            set_quota(
                session,
                terms,
                set_by="rehearsal",
                metrics=self._metrics,
                zone=self._zone,
                enforcing=True,
                now=self._unit_of_work.now(),
            )

    def use(self, person: Person, start: datetime, end: datetime) -> None:
        """Record a person's use of one step, some of it twice."""
        records = [self._record(person, start, end) for _ in range(self._count(person, end - start))]
        if not records:
            return
        again = records[::REPEATED]
        with self._unit_of_work.transaction() as session:
            now = self._unit_of_work.now()
            outcome = record_usage(
                session, [*records, *again], metrics=self._metrics, source="rehearsal", now=now, scope="rehearsal"
            )
        self.recorded += outcome.accepted
        self.repeated += outcome.duplicates

    def _count(self, person: Person, step: timedelta) -> int:
        return round(person.daily_calls * step / timedelta(days=1) * self._random.uniform(0.5, 1.5))

    def _record(self, person: Person, start: datetime, end: datetime) -> UsageRecord:
        return UsageRecord(
            user_id=self._shop.user_of(person),
            metric_type=METRIC,
            value=self._random.randint(1, 5),
            created_at=start + (end - start) * self._random.random(),
            idempotency_key=f"{self._random.getrandbits(96):024x}-{self._shop.user_of(person)}",
        )
