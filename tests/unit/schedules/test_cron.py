from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab_parser
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.kernel.errors import InvalidValueError
from schedules.cron import Cron

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(
    [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")]
)
EXPRESSIONS = st.sampled_from(
    [
        "0 3 * * *",
        "30 2 * * *",
        "*/15 * * * *",
        "0 0 1 * *",
        "5 4 * * 1-5",
        "59 23 31 * *",
        "0 12 29 2 *",
        "0,30 1 * * 0",
    ]
)
INSTANTS = st.datetimes(datetime(2023, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def slots(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    cron = Cron.parse(expression)
    found = []
    slot = cron.at_or_after(start, zone)
    while slot < end:
        found.append(slot)
        slot = cron.at_or_after(slot + timedelta(microseconds=1), zone)
    return found


def test_a_time_left_out_by_the_spring_change_runs_once_an_hour_later() -> None:
    around = slots("30 2 * * *", BERLIN, datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC))
    assert around == [
        datetime(2026, 3, 28, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 30, 0, 30, tzinfo=UTC),
    ]


def test_a_time_repeated_by_the_autumn_change_runs_once() -> None:
    around = slots("30 2 * * *", BERLIN, datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC))
    assert around == [
        datetime(2026, 10, 24, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 26, 1, 30, tzinfo=UTC),
    ]


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_an_hourly_job_follows_real_time_through_both_changes(day: date) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=6)
    found = slots("0 * * * *", BERLIN, start, start + timedelta(hours=36))
    assert found == [start + timedelta(hours=hour) for hour in range(36)]


def test_every_day_of_a_year_has_exactly_one_daily_slot_in_every_zone() -> None:
    for zone in (BERLIN, ZoneInfo("America/Sao_Paulo"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("Pacific/Chatham")):
        found = slots("15 2 * * *", zone, datetime(2026, 1, 1, tzinfo=zone), datetime(2027, 1, 1, tzinfo=zone))
        assert [slot.astimezone(zone).date() for slot in found] == [
            date(2026, 1, 1) + timedelta(days=ahead) for ahead in range(365)
        ]


def test_the_29th_of_february_is_found_over_the_year_2100() -> None:
    cron = Cron.parse("0 0 29 2 *")
    zone = ZoneInfo("UTC")
    assert cron.at_or_after(datetime(2096, 3, 1, tzinfo=UTC), zone) == datetime(2104, 2, 29, tzinfo=UTC)
    assert cron.at_or_before(datetime(2104, 2, 28, tzinfo=UTC), zone) == datetime(2096, 2, 29, tzinfo=UTC)


@given(expression=EXPRESSIONS, zone=ZONES, instant=INSTANTS)
def test_the_slots_before_and_after_an_instant_are_neighbours(
    expression: str, zone: ZoneInfo, instant: datetime
) -> None:
    cron = Cron.parse(expression)
    after = cron.at_or_after(instant, zone)
    before = cron.at_or_before(instant, zone)
    assert before <= instant <= after
    assert cron.at_or_before(after, zone) == after
    assert cron.at_or_after(before, zone) == before
    if before != after:
        assert cron.at_or_after(before + timedelta(microseconds=1), zone) == after


@given(instant=INSTANTS, expression=EXPRESSIONS)
def test_in_utc_a_slot_is_a_minute_whose_numbers_the_fields_name(instant: datetime, expression: str) -> None:
    minute, hour, day, month, weekday = (
        crontab_parser(size, low).parse(text)
        for text, size, low in zip(expression.split(), (60, 24, 31, 12, 7), (0, 0, 1, 1, 0), strict=True)
    )
    slot = Cron.parse(expression).at_or_after(instant, ZoneInfo("UTC"))
    assert (slot.second, slot.microsecond) == (0, 0)
    assert slot.minute in minute
    assert slot.hour in hour
    assert slot.day in day
    assert slot.month in month
    assert slot.isoweekday() % 7 in {number % 7 for number in weekday}


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 3 * *", "has 4 fields"),
        ("60 3 * * *", "go from 0 to 59"),
        ("0 5-3 * * *", "go from 0 to 23"),
        ("x 3 * * *", "is no minute of a cron"),
        ("*/0 3 * * *", "go from 0 to 59"),
        ("-1 3 * * *", "is no minute of a cron"),
        ("0 0 31 2 *", "never comes"),
        ("0 0 1 * 1", "name one of them"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_reason(expression: str, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        Cron.parse(expression)


def test_sunday_is_0_and_7() -> None:
    assert Cron.parse("0 0 * * 7").weekdays == Cron.parse("0 0 * * 0").weekdays == {0}
