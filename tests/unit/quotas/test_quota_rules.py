from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing_worker.domains.quotas.errors import InvalidQuotaError
from billing_worker.domains.quotas.rules import (
    Anchor,
    PeriodUse,
    QuotaTerms,
    check_terms,
    compute_rollover,
    following_periods,
    is_blocked,
    period_of,
)
from billing_worker.domains.quotas.states import Enforcement
from billing_worker.kernel.periods import Period, PeriodKind

NEW_YORK = ZoneInfo("America/New_York")
ZONES = st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York", "America/Havana", "Africa/Cairo", "Pacific/Apia"])
INSTANTS = st.datetimes(datetime(2011, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by contract


def terms(kind: PeriodKind, anchor: Anchor | None = None) -> QuotaTerms:
    return QuotaTerms("user123", "api_calls", kind, 1000, anchor=anchor)


@given(
    kind=st.sampled_from([PeriodKind.DAY, PeriodKind.WEEK, PeriodKind.MONTH, PeriodKind.BILLING]),
    anchor=INSTANTS,
    months=st.sampled_from([1, 3, 12]),
    start=INSTANTS,
    away=st.timedeltas(timedelta(0), timedelta(days=500)),
    zone_name=ZONES,
)
@example(
    PeriodKind.BILLING,
    datetime(2024, 1, 31, 9, tzinfo=UTC),
    1,
    datetime(2024, 2, 1, tzinfo=UTC),
    timedelta(days=400),
    "UTC",
)
@example(
    PeriodKind.BILLING,
    datetime(2024, 2, 29, 9, tzinfo=UTC),
    12,
    datetime(2024, 3, 1, tzinfo=UTC),
    timedelta(days=500),
    "UTC",
)
def test_the_same_periods_come_exactly_once_however_long_nobody_looked(
    kind: PeriodKind, anchor: datetime, months: int, start: datetime, away: timedelta, zone_name: str
) -> None:
    zone = ZoneInfo(zone_name)
    quota = terms(kind, Anchor(anchor, months) if kind is PeriodKind.BILLING else None)
    now = start + away
    first = period_of(quota, start, zone)
    assert start in first
    at_once = following_periods(quota, first.end, now, zone)
    chain = [first, *at_once]
    assert now in chain[-1]
    assert [period.start for period in chain[1:]] == [period.end for period in chain[:-1]]
    assert all(period == period_of(quota, period.start, zone) for period in chain)
    in_steps: list[Period] = []
    looked_at = start
    while looked_at < now:
        looked_at = min(looked_at + timedelta(days=17, hours=5), now)
        in_steps += following_periods(quota, (in_steps or [first])[-1].end, looked_at, zone)
    assert in_steps == at_once


def test_an_anchor_on_the_31st_never_drifts() -> None:
    quota = terms(PeriodKind.BILLING, Anchor(datetime(2024, 1, 31, 10, 30, tzinfo=UTC), 1))
    periods = following_periods(
        quota, datetime(2024, 1, 31, 10, 30, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC), NEW_YORK
    )
    assert [(period.end.month, period.end.day, period.end.hour) for period in periods] == [
        (2, 29, 10),
        (3, 31, 10),
        (4, 30, 10),
        (5, 31, 10),
        (6, 30, 10),
    ]


def test_a_leap_day_year_comes_back_to_the_29th() -> None:
    quota = terms(PeriodKind.BILLING, Anchor(datetime(2024, 2, 29, tzinfo=UTC), 12))
    periods = following_periods(quota, datetime(2024, 2, 29, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC), NEW_YORK)
    assert [period.end.day for period in periods] == [28, 28, 28, 29]


def test_days_across_both_changes_of_the_clock() -> None:
    for start, hours in ((datetime(2025, 3, 9, 5, tzinfo=UTC), 23), (datetime(2025, 11, 2, 4, tzinfo=UTC), 25)):
        [day] = following_periods(terms(PeriodKind.DAY), start, start, NEW_YORK)
        assert day == Period(start, start + timedelta(hours=hours))


def test_a_period_after_a_change_of_zone_starts_where_the_last_one_ended() -> None:
    end = datetime(2026, 3, 1, tzinfo=UTC)
    [first, second] = following_periods(terms(PeriodKind.DAY), end, end + timedelta(hours=20), ZoneInfo("Asia/Kolkata"))
    assert first == Period(end, datetime(2026, 3, 1, 18, 30, tzinfo=UTC))
    assert second == Period(first.end, first.end + timedelta(days=1))


@pytest.mark.parametrize(
    ("use", "carried"),
    [
        (PeriodUse(100, 0, 0), 100),
        (PeriodUse(100, 0, 40), 60),
        (PeriodUse(100, 0, 140), 0),
        (PeriodUse(100, 60, 40), 100),
        (PeriodUse(100, 60, 140), 20),
        (PeriodUse(0, 0, 0), 0),
    ],
)
def test_what_is_left_rolls_over_up_to_one_limit(use: PeriodUse, carried: int) -> None:
    assert compute_rollover(use) == carried


@pytest.mark.parametrize(
    ("enforcement", "enforcing", "used", "blocked"),
    [
        (Enforcement.HARD, True, 119, False),
        (Enforcement.HARD, True, 120, True),
        (Enforcement.HARD, True, 121, True),
        (Enforcement.HARD, False, 121, False),
        (Enforcement.SOFT, True, 121, False),
    ],
)
def test_a_user_is_blocked_when_no_unit_is_left(
    enforcement: Enforcement,
    enforcing: bool,  # noqa: FBT001 - pytest's parameter
    used: int,
    blocked: bool,  # noqa: FBT001 - pytest's parameter
) -> None:
    assert is_blocked(enforcement, PeriodUse(100, 20, used), enforcing=enforcing) is blocked


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (QuotaTerms("u", "api_calls", PeriodKind.HOUR, 1), "period: hour is none of day, week, month, billing"),
        (QuotaTerms("u", "api_calls", PeriodKind.DAY, -1), "limit: -1 is not between 0"),
        (QuotaTerms("", "api_calls", PeriodKind.DAY, 1), "user: '' is no user id"),
        (QuotaTerms("u", "api_calls", PeriodKind.BILLING, 1), "has an anchor"),
    ],
)
def test_terms_that_no_quota_can_have(wrong: QuotaTerms, problem: str) -> None:
    with pytest.raises(InvalidQuotaError) as raised:
        check_terms(wrong)
    assert problem in str(raised.value)
