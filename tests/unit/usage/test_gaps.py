from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from billing_worker.domains.usage.gaps import HOUR, Silence, find_silences
from billing_worker.kernel.periods import Period

ZONE = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
KNOWN = Period(MONDAY, MONDAY + timedelta(days=35))
LAST_WEEK = Period(MONDAY + timedelta(days=28), MONDAY + timedelta(days=35))
ALL_HOURS = [MONDAY + HOUR * number for number in range(35 * 24)]


def silences(active: list[datetime]) -> list[Silence]:
    return find_silences(active, KNOWN, LAST_WEEK, ZONE)


def test_a_day_without_usage_of_somebody_who_never_rests_is_a_silence() -> None:
    gone = Period(LAST_WEEK.start + timedelta(days=2), LAST_WEEK.start + timedelta(days=3))
    [found] = silences([hour for hour in ALL_HOURS if not gone.start <= hour < gone.end])
    assert (found.start, found.end) == (gone.start, gone.end)
    assert 23 < found.expected_hours <= 24


def test_nights_and_weekends_of_an_office_are_no_silence_and_a_missing_working_day_is() -> None:
    office = [hour for hour in ALL_HOURS if hour.weekday() < 5 and 8 <= hour.hour < 17]
    assert silences(office) == []
    tuesday = LAST_WEEK.start + timedelta(days=1)
    [found] = silences([hour for hour in office if hour.date() != tuesday.date()])
    assert found.start == LAST_WEEK.start + HOUR * 17
    assert found.end == tuesday + timedelta(days=1, hours=8)


def test_one_record_a_day_missing_twice_is_told() -> None:
    daily = [MONDAY + timedelta(days=number, hours=12) for number in range(35)]
    assert silences(daily) == []
    gone = {LAST_WEEK.start + timedelta(days=number, hours=12) for number in (2, 3)}
    [found] = silences([hour for hour in daily if hour not in gone])
    assert found.start < min(gone)
    assert found.end > max(gone)


def test_without_a_rhythm_there_is_no_silence() -> None:
    assert silences([]) == []
    assert silences([MONDAY, MONDAY + HOUR]) == []
    assert find_silences(ALL_HOURS[:2], Period(KNOWN.start, KNOWN.start), Period(KNOWN.start, KNOWN.start), ZONE) == []
