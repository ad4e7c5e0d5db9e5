from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing_worker.domains.usage.errors import MetricCatalogError, UnknownMetricError
from billing_worker.domains.usage.rules import (
    SLOT,
    Metric,
    Piece,
    bucket_span,
    bucket_start,
    decompose,
    round_quantity,
    whole_bucket,
)
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.domains.usage.states import ROLLUPS, Formula, Level, Rounding
from billing_worker.kernel.periods import Period

ZONES = st.sampled_from(
    [
        "UTC",
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "America/New_York",
        "America/Havana",
        "Africa/Cairo",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "America/St_Johns",
    ]
).map(ZoneInfo)
INSTANTS = st.datetimes(datetime(2001, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by contract
LORD_HOWE_CUT = datetime(2025, 10, 4, 15, 10, tzinfo=UTC)


@given(start=INSTANTS, length=st.timedeltas(timedelta(0), timedelta(days=100)), zone=ZONES, at=st.floats(0, 1))
@example(start=LORD_HOWE_CUT, length=timedelta(days=1), zone=ZoneInfo("Australia/Lord_Howe"), at=0.01)
@example(
    start=LORD_HOWE_CUT - timedelta(days=1), length=timedelta(days=1), zone=ZoneInfo("Australia/Lord_Howe"), at=1.0
)
def test_pieces_cover_a_span_and_hold_exactly_the_instants_that_their_buckets_hold(
    start: datetime, length: timedelta, zone: ZoneInfo, at: float
) -> None:
    span = Period(start, start + length)
    pieces = decompose(span, zone)
    edges = [piece.start for piece in pieces] + [span.end]
    assert edges[0] == span.start
    assert [piece.end for piece in pieces] == edges[1:]
    for instant in (start + length * at, start - timedelta(seconds=1), span.end, span.end - timedelta(microseconds=1)):
        holders = [piece for piece in pieces if _counts(piece, instant, zone)]
        assert len(holders) == (1 if instant in span else 0)


def _counts(piece: Piece, instant: datetime, zone: ZoneInfo) -> bool:
    """Say whether a record of this instant is counted by the piece: by its bucket's start, or raw by its own time."""
    name = instant if piece.level is Level.RAW else bucket_start(piece.level, instant, zone)
    return piece.start <= name < piece.end


def test_a_calendar_month_is_one_bucket_and_a_billing_month_uses_every_level() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    month = Period(datetime(2026, 1, 31, 18, 30, tzinfo=UTC), datetime(2026, 2, 28, 18, 30, tzinfo=UTC))
    assert decompose(month, zone) == [Piece(Level.MONTHLY, month.start, month.end)]
    assert whole_bucket(decompose(month, zone), zone) is Level.MONTHLY
    two = Period(month.start, datetime(2026, 3, 31, 18, 30, tzinfo=UTC))
    assert whole_bucket(decompose(two, zone), zone) is None
    ragged = Period(datetime(2026, 1, 15, 10, 7, tzinfo=UTC), datetime(2026, 3, 15, 10, 7, tzinfo=UTC))
    assert [piece.level for piece in decompose(ragged, zone)] == [
        "raw",
        "hourly",
        "daily",
        "monthly",
        "daily",
        "hourly",
        "raw",
    ]


@given(instant=INSTANTS, zone=ZONES)
@example(instant=datetime(2025, 10, 4, 15, 40, tzinfo=UTC), zone=ZoneInfo("Australia/Lord_Howe"))
def test_all_instants_of_a_slot_and_of_a_bucket_span_share_their_bucket(instant: datetime, zone: ZoneInfo) -> None:
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    slot = midnight + (instant - midnight) // SLOT * SLOT
    for level in ROLLUPS:
        start = bucket_start(level, slot, zone)
        assert start == bucket_start(level, instant, zone)
        span = bucket_span(level, slot, zone)
        assert instant in span
        assert {bucket_start(level, one, zone) for one in (span.start, span.end - timedelta(microseconds=1))} == {start}
        assert start not in {bucket_start(level, one, zone) for one in (span.start - SLOT, span.end)}


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        (Rounding.NONE, [0, 1, 499, 500, 1000, 1500, 2500]),
        (Rounding.UP, [0, 1, 1, 1, 1, 2, 3]),
        (Rounding.DOWN, [0, 0, 0, 0, 1, 1, 2]),
        (Rounding.HALF_EVEN, [0, 0, 0, 0, 1, 2, 2]),
    ],
)
def test_rounding(rounding: Rounding, expected: list[int]) -> None:
    metric = Metric("m", "", Formula.SUM, "unit", round_to=1000, rounding=rounding)
    assert [round_quantity(value, metric) for value in (0, 1, 499, 500, 1000, 1500, 2500)] == expected


def test_the_shipped_catalogue() -> None:
    metrics = load_metrics()
    assert metrics.get("api_calls") == Metric("api_calls", "Calls of the application's API", Formula.SUM, "call")
    assert metrics.get("tokens").rounding is Rounding.UP
    assert {metric.formula for metric in metrics} == set(Formula) - {Formula.COUNT}
    with pytest.raises(UnknownMetricError, match="known metrics: active_users, api_calls"):
        metrics.get("calls")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "must map metric names"),
        ("- a", "must map metric names"),
        ("a: [", "is not YAML"),
        ("Api: {formula: sum, unit: x}", "'Api' is not a metric name"),
        ("a: sum", "a must have at least formula and unit"),
        ("a: {formula: avg, unit: x}", "a: formula 'avg' is none of sum, count, max, last, unique"),
        ("a: {unit: x}", "a: formula None is none of"),
        ("a: {formula: sum}", "a needs a unit"),
        ("a: {formula: sum, unit: x, round_to: 0}", "round_to 0 is not a positive integer"),
        ("a: {formula: sum, unit: x, round_to: true}", "round_to True is not a positive integer"),
        ("a: {formula: sum, unit: x, colour: red}", "unknown fields colour"),
    ],
)
def test_a_wrong_catalogue_says_what_is_wrong(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "metrics.yml"
    path.write_text(content)
    with pytest.raises(MetricCatalogError) as raised:
        load_metrics(path)
    assert problem in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_missing_catalogue(tmp_path: Path) -> None:
    with pytest.raises(MetricCatalogError, match="cannot be read: No such file"):
        load_metrics(tmp_path / "none.yml")
