from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.errors import OtherZoneError, StillUsedUpError
from billing_worker.domains.quotas.handlers import on_subscription
from billing_worker.domains.quotas.rules import QuotaTerms
from billing_worker.domains.quotas.services.apply_changed_plans import apply_changed_plans
from billing_worker.domains.quotas.services.check_zone import check_zone
from billing_worker.domains.quotas.services.compare_quota import compare_quota
from billing_worker.domains.quotas.services.replay_limit import replay_limit
from billing_worker.domains.quotas.services.set_plan_quota import set_plan_quota
from billing_worker.domains.quotas.services.unblock_user import unblock_user
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.effects.drafts import insert_marks
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.events import Snapshot
from billing_worker.kernel.periods import Period, PeriodKind
from tests.integration.quotas.conftest import UTC_ZONE, ReadPeriods, SetQuota, Use

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KOLKATA = ZoneInfo("Asia/Kolkata")

Subscribe = Callable[..., None]


@pytest.fixture
def subscribe(engine: Engine) -> Subscribe:
    """Put a subscription to a price into the mirror, as a drain does, its mark included."""

    def subscribed(price_id: str, status: str = "active") -> None:
        recurring = {"interval": "month", "interval_count": 1}
        data = {"items": {"data": [{"price": {"id": price_id, "recurring": recurring}}]}}
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO billing_customer_users (customer_id, user_id, linked_at, linked_by) "
                    "VALUES ('cus_1', 'user123', :now, 'ops') ON CONFLICT DO NOTHING"
                ),
                {"now": NOW},
            )
            connection.execute(
                text(
                    "INSERT INTO billing_subscriptions (id, customer_id, status, price_id, billing_cycle_anchor, data, "
                    "version, version_row_id, version_event_id, synced_at) "
                    "VALUES ('sub_1', 'cus_1', :status, :price, :anchor, CAST(:data AS jsonb), "
                    ":now, 1, '', :now) ON CONFLICT (account_id, id) DO UPDATE SET status = EXCLUDED.status, "
                    "price_id = EXCLUDED.price_id, data = EXCLUDED.data"
                ),
                {
                    "status": status,
                    "price": price_id,
                    "anchor": datetime(2026, 1, 31, 9, tzinfo=UTC),
                    "data": json.dumps(data),
                    "now": NOW,
                },
            )

    return subscribed


@pytest.fixture
def set_plan(unit_of_work: UnitOfWork, metrics: MetricCatalog) -> Callable[..., int]:
    def setter(price_id: str, limit: int, kind: str = "month", metric: str = "api_calls") -> int:
        terms = QuotaTerms("*", metric, PeriodKind(kind), limit)
        with unit_of_work.transaction() as session:
            return set_plan_quota(
                session,
                price_id,
                terms,
                set_by="ops",
                metrics=metrics,
                zone=UTC_ZONE,
                enforcing=True,
                now=unit_of_work.now(),
            )

    return setter


def limits(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL timezone = 'UTC'"))
        statement = text(
            "SELECT p.metric_type, p.limit_value, to_char(p.period_end, 'MM-DD HH24'), q.from_price_id "
            "FROM billing_quota_periods p JOIN billing_quotas q ON q.id = p.quota_id WHERE p.status = 'open' "
            "ORDER BY p.user_id, p.metric_type"
        )
        return [tuple(row) for row in connection.execute(statement)]


def test_a_plans_quotas_follow_the_subscription(
    subscribe: Subscribe,
    set_plan: Callable[..., int],
    set_terms: SetQuota,
    unit_of_work: UnitOfWork,
    metrics: MetricCatalog,
    engine: Engine,
    clock: FixedClock,
) -> None:
    def apply(*, everybody: bool = False) -> int:
        return apply_changed_plans(unit_of_work, everybody=everybody, metrics=metrics, zone=UTC_ZONE, enforcing=True)

    subscribe("price_small")
    assert set_plan("price_small", 100) == 1
    assert set_plan("price_small", 50, "billing", "tokens") == 1
    small = [("api_calls", 100, "04-01 00", "price_small"), ("tokens", 50, "03-31 09", "price_small")]
    assert limits(engine) == small
    assert set_plan("price_large", 900) == 0
    assert (apply(everybody=True), limits(engine)) == (0, small)
    clock.advance(timedelta(hours=1))
    subscribe("price_large")
    snapshot = Snapshot("", "subscription", "sub_1", "cus_1", NOW, {})
    with unit_of_work.transaction() as session:
        insert_marks(session, {("", draft) for draft in on_subscription(snapshot)}, NOW)
    assert (apply(), apply()) == (2, 0)
    assert limits(engine) == [("api_calls", 900, "04-01 00", "price_large")]
    set_terms(5)
    assert set_plan("price_large", 1000) == 0
    assert limits(engine) == [("api_calls", 5, "04-01 00", None)]
    subscribe("price_small")
    clock.advance(timedelta(hours=1))
    assert apply(everybody=True) == 1
    assert [row[:2] for row in limits(engine)] == [("api_calls", 5), ("tokens", 50)]
    subscribe("price_small", status="canceled")
    assert apply(everybody=True) == 0
    assert len(limits(engine)) == 2


def test_the_zone_stays_once_days_were_cut_in_it(unit_of_work: UnitOfWork, engine: Engine, set_terms: SetQuota) -> None:
    def check(zone: ZoneInfo) -> None:
        with unit_of_work.transaction() as session:
            check_zone(session, zone)

    check(KOLKATA)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO billing_installation (account_id, livemode, stripe_is, created_at) "
                "VALUES ('acct_1', false, 'sandbox', :now)"
            ),
            {"now": NOW},
        )
    check(KOLKATA)
    check(UTC_ZONE)
    set_terms(10)
    check(UTC_ZONE)
    with pytest.raises(OtherZoneError, match="nself env set BILLING_TIMEZONE=UTC"):
        check(KOLKATA)
    with pytest.raises(OtherZoneError):
        set_terms(10, zone=KOLKATA)


def test_each_threshold_is_told_once_a_period(set_terms: SetQuota, use: Use, engine: Engine, clock: FixedClock) -> None:
    def told() -> list[str]:
        with engine.connect() as connection:
            statement = text("SELECT effect_key FROM billing_effects WHERE kind = 'mail.quota_alert' ORDER BY id")
            return [key.rpartition(":")[2] for key in connection.execute(statement).scalars()]

    set_terms(10)
    use(7)
    assert told() == []
    use(1)
    assert told() == ["80"]
    use(4)
    assert told() == ["80", "100"]
    set_terms(100)
    use(70)
    set_terms(10)
    assert told() == ["80", "100"]
    clock.advance(timedelta(days=31))
    set_terms(10)
    use(10)
    assert told() == ["80", "100", "80", "100"]


def test_a_limit_is_replayed_over_real_usage(
    use: Use, unit_of_work: UnitOfWork, metrics: MetricCatalog, read_periods: ReadPeriods
) -> None:
    for minutes in (10, 20, 30, 90):
        use(3, at=NOW - timedelta(days=1) + timedelta(minutes=minutes))
    use(8, user="user124", at=NOW - timedelta(hours=1))
    use(100, metric="tokens")
    terms = QuotaTerms("*", "api_calls", PeriodKind.DAY, 8)
    span = Period(NOW - timedelta(days=2), NOW)
    with unit_of_work.transaction() as session:
        replay = replay_limit(session, terms, span, everybody=True, metrics=metrics, zone=UTC_ZONE)
    assert len(replay.periods) == 3
    assert [(use.user_id, use.total, use.blocked_at, use.is_exact) for use in replay.blocked] == [
        ("user123", 12, NOW - timedelta(days=1) + timedelta(minutes=30), True),
        ("user124", 8, NOW - timedelta(hours=1), True),
    ]
    assert read_periods() == []


def test_a_block_is_lifted_only_where_units_are_left(
    set_terms: SetQuota, use: Use, unit_of_work: UnitOfWork, metrics: MetricCatalog, engine: Engine
) -> None:
    set_terms(10)
    use(10)

    def unblock() -> list[bool]:
        with unit_of_work.transaction() as session:
            opened = unblock_user(
                session, "user123", closed_by="ops", metrics=metrics, zone=UTC_ZONE, enforcing=True, now=NOW
            )
        return [one.blocked_at is None for one in opened]

    with pytest.raises(StillUsedUpError, match="10 of 10 api_calls"):
        unblock()
    with engine.begin() as connection:
        connection.execute(text("UPDATE billing_usage_monthly SET sum_value = 9"))
    with unit_of_work.transaction() as session:
        [compared] = compare_quota(session, "user123", metrics=metrics, zone=UTC_ZONE)
    assert (compared.period.use.used_value, compared.rollups, compared.raw.value, compared.differs) == (10, 9, 10, True)
    with engine.begin() as connection:
        connection.execute(text("UPDATE billing_quota_periods SET used_value = 12"))
        connection.execute(text("UPDATE billing_usage_monthly SET sum_value = 8"))
    assert unblock() == [True]
    with unit_of_work.transaction() as session:
        record_usage(session, [UsageRecord("user123", "api_calls", 1)], metrics=metrics, source="test", now=NOW)
    with unit_of_work.transaction() as session:
        [behind] = compare_quota(session, "user123", metrics=metrics, zone=UTC_ZONE)
    assert (behind.raw.waiting, behind.differs) == (1, False)
