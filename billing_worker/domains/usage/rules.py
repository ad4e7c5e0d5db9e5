"""Rules of metering: what a record may be, which buckets it falls into, how a span is covered by rollups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from zoneinfo import ZoneInfo

from billing_worker.domains.usage.errors import InvalidUsageError, UnknownMetricError, UsageError
from billing_worker.domains.usage.states import ROLLUPS, Formula, Level, Rounding
from billing_worker.kernel.periods import Period, PeriodKind, period_containing

SLOT = timedelta(minutes=15)
"""The finest step of UTC offsets since 1973: inside one slot an instant cannot change its local hour, day or month."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Older than any usage, younger than the last offset that is not a multiple of fifteen minutes."""

FUTURE_TOLERANCE = timedelta(minutes=5)
"""Clock skew granted to applications, as much as Stripe grants meter events."""

VALUE_MAX = 2**63 - 1
TEXT_MAX = 255

DIGEST_LENGTH = 32
"""Half of SHA-256 in hexadecimal: two different keys meet once in 2**64, and a row of a key stays small."""

_KINDS = {Level.MONTHLY: PeriodKind.MONTH, Level.DAILY: PeriodKind.DAY, Level.HOURLY: PeriodKind.HOUR}


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that is metered; units of `round_to` are the metric's own.

    Shape: `stripe_meter` is the event name of the Stripe meter that is told of it, if one is.
    """

    name: str
    description: str
    formula: Formula
    unit: str
    round_to: int = 1
    rounding: Rounding = Rounding.NONE
    stripe_meter: str | None = None


class MetricCatalog:
    """The metrics of this installation by name."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = {metric.name: metric for metric in metrics}

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._metrics.values())

    def __contains__(self, name: str) -> bool:
        return name in self._metrics

    def get(self, name: str) -> Metric:
        """Return a metric.

        Raises: UnknownMetricError naming those that exist.
        """
        if name not in self._metrics:
            raise UnknownMetricError(name, self._metrics)
        return self._metrics[name]

    def formula_of(self, name: str) -> Formula:
        """Return how a metric is measured; one that left the catalogue is still summed, so its past stays readable."""
        return self._metrics[name].formula if name in self._metrics else Formula.SUM

    def needs_unique_key(self, name: str) -> bool:
        """Say whether a known metric counts different keys."""
        return self._metrics[name].formula is Formula.UNIQUE

    def of_formula(self, formula: Formula) -> list[str]:
        """Name the metrics of one formula."""
        return [metric.name for metric in self if metric.formula is formula]

    def metered(self) -> list[str]:
        """Name the metrics that a Stripe meter is told of."""
        return [metric.name for metric in self if metric.stripe_meter is not None]


class UsageRecord(NamedTuple):
    """One use of a metric by a user; a tuple, because intake makes one for each record of a batch.

    Shape: `created_at` is when the use happened, aware (default: when it is recorded); `unique_key` is what a unique
    metric counts, and only such a metric has one.
    """

    user_id: str
    metric_type: str
    value: int = 1
    created_at: datetime | None = None
    unique_key: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a span and the rollup that holds it whole; buckets count by their start."""

    level: Level
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class UsageSpan:
    """The use of one metric by one user in one span of time: the question that measuring answers."""

    user_id: str
    metric_type: str
    period: Period


@dataclass(frozen=True, slots=True)
class SlotBucket:
    """Where one slot lies in one rollup: the bucket's name and the instants that fall into it."""

    slot: datetime
    start: datetime
    span: Period


def check_record(record: UsageRecord, catalog: MetricCatalog, now: datetime) -> UsageError | None:
    """Return what is wrong with a record, or None.

    Order: an unknown metric is told only of a record that is right otherwise, so that such a record can be held.
    """
    return (
        _find_text_error(record)
        or _find_value_error(record.value)
        or (_find_time_error(record.created_at, now) if record.created_at is not None else None)
        or _find_metric_error(record, catalog)
    )


def _find_text_error(record: UsageRecord) -> UsageError | None:
    user_id, metric, _, _, unique_key, idempotency_key = record
    if not _is_text(user_id):
        return _text_error("user", user_id, "user123")
    if not _is_text(metric):
        return _text_error("metric", metric, "api_calls")
    if idempotency_key is not None and not _is_text(idempotency_key):
        return _text_error("idempotency_key", idempotency_key, "order-1042-item-3")
    if unique_key is not None and not _is_text(unique_key):
        return _text_error("unique_key", unique_key, "visitor-17")
    return None


def _find_value_error(value: int) -> UsageError | None:
    if type(value) is not int:  # a boolean is one for isinstance
        return InvalidUsageError("value", f"Invalid integer: {value}; usage counts whole units, for example 2")
    if not 0 <= value <= VALUE_MAX:
        return InvalidUsageError("value", f"{str(value)[:40]} is not between 0 and {VALUE_MAX}; for example 2")
    return None


def _find_metric_error(record: UsageRecord, catalog: MetricCatalog) -> UsageError | None:
    if record.metric_type not in catalog:
        return UnknownMetricError(record.metric_type, (known.name for known in catalog))
    if (record.unique_key is not None) != catalog.needs_unique_key(record.metric_type):
        return InvalidUsageError("unique_key", "a unique metric needs one, every other metric has none")
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_MAX and value.isprintable()


def _text_error(field: str, value: object, example: str) -> UsageError:
    shown = repr(value)[:40]
    return InvalidUsageError(field, f"{shown} must be 1 to {TEXT_MAX} printable characters; for example {example}")


def _find_time_error(created_at: datetime, now: datetime) -> UsageError | None:
    if created_at.tzinfo is None:
        return InvalidUsageError("at", f"{created_at} has no time zone; write for example 2026-01-15T12:00:00Z")
    if not EARLIEST <= created_at <= now + FUTURE_TOLERANCE:
        return InvalidUsageError(
            "at",
            f"{created_at.isoformat()} is before 2000 or over five minutes in the future; "
            f"now is {now.isoformat(timespec='seconds')}",
        )
    return None


def key_digest(scope: str, idempotency_key: str) -> str:
    """Hash an idempotency key to 128 bits in hexadecimal; keys of different scopes do not meet."""
    told = f"{scope}\x00{idempotency_key}" if scope else idempotency_key
    return sha256(told.encode()).hexdigest()[:DIGEST_LENGTH]


def payload_hash(record: UsageRecord) -> str:
    """Hash what a record says, as it was sent: a time left out stays left out, so a later retry is the same record."""
    user_id, metric, value, created_at, unique_key, _ = record
    at = created_at.astimezone(UTC).isoformat() if created_at else ""
    told = f"{user_id}\x00{metric}\x00{value}\x00{unique_key or ''}\x00{at}"
    return sha256(told.encode()).hexdigest()[:DIGEST_LENGTH]


def slots_between(first: datetime, last: datetime) -> list[datetime]:
    """Return the slots of every instant from the first to the last."""
    start = EARLIEST + (first - EARLIEST) // SLOT * SLOT
    return [start + SLOT * step for step in range((last - start) // SLOT + 1)]


@lru_cache(maxsize=20_000)
def bucket_start(level: Level, slot: datetime, zone: ZoneInfo) -> datetime:
    """Find the rollup bucket of a slot; local boundaries, as a UTC instant."""
    return period_containing(_KINDS[level], slot, zone).start


@lru_cache(maxsize=20_000)
def bucket_span(level: Level, slot: datetime, zone: ZoneInfo) -> Period:
    """Find the instants that fall into the same bucket as a slot.

    An hour can be cut short by a half-hour change of the clocks (Lord Howe), so its slots are asked one by one.
    """
    whole = period_containing(_KINDS[level], slot, zone)
    if level is not Level.HOURLY:
        return whole
    slots = [whole.start + SLOT * step for step in range(4)]
    inside = [one for one in slots if bucket_start(level, one, zone) == whole.start]
    return Period(inside[0], inside[-1] + SLOT)


def buckets_by_level(slots: Iterable[datetime], zone: ZoneInfo) -> dict[Level, list[SlotBucket]]:
    """Tell for each rollup where some slots lie."""
    known = list(slots)
    return {
        level: [SlotBucket(slot, bucket_start(level, slot, zone), bucket_span(level, slot, zone)) for slot in known]
        for level in ROLLUPS
    }


def whole_buckets(level: Level, span: Period, zone: ZoneInfo) -> Period:
    """Widen a span to whole buckets of a rollup."""
    start = _boundary_before(level, span.start, zone)
    return Period(start, _boundary_after(level, span.end, zone))


def decompose(span: Period, zone: ZoneInfo) -> list[Piece]:
    """Cover a span by the coarsest rollups that lie wholly inside it, with raw rows only at its ragged ends.

    Order: by time; the pieces touch and never overlap.
    """
    return _cover([Level.MONTHLY, Level.DAILY, Level.HOURLY], span, zone)


def whole_bucket(pieces: Sequence[Piece], zone: ZoneInfo) -> Level | None:
    """Return the rollup of which these pieces are exactly one bucket, if there is one."""
    match list(pieces):
        case [Piece(level=level, start=start, end=end)] if level is not Level.RAW:
            return level if period_containing(_KINDS[level], start, zone) == Period(start, end) else None
        case _:
            return None


def _cover(levels: list[Level], span: Period, zone: ZoneInfo) -> list[Piece]:
    if span.start >= span.end:
        return []
    if not levels:
        return [Piece(Level.RAW, span.start, span.end)]
    level, finer = levels[0], levels[1:]
    start, end = _boundary_after(level, span.start, zone), _boundary_before(level, span.end, zone)
    if start >= end:
        return _cover(finer, span, zone)
    return [
        *_cover(finer, Period(span.start, start), zone),
        Piece(level, start, end),
        *_cover(finer, Period(end, span.end), zone),
    ]


def _boundary_after(level: Level, instant: datetime, zone: ZoneInfo) -> datetime:
    """Find the first instant from here on that starts a bucket of its own."""
    period = period_containing(_KINDS[level], instant, zone)
    while period.start != instant:
        instant = period.end
        period = period_containing(_KINDS[level], instant, zone)
    return instant


def _boundary_before(level: Level, instant: datetime, zone: ZoneInfo) -> datetime:
    period = period_containing(_KINDS[level], instant, zone)
    while period.start != instant:
        instant = period.start
        period = period_containing(_KINDS[level], instant, zone)
    return instant


def round_quantity(value: int, metric: Metric) -> int:
    """Round a measured value to the metric's billed quantity, counted in `round_to` units."""
    whole, rest = divmod(value, metric.round_to)
    match metric.rounding:
        case Rounding.NONE:
            return value
        case Rounding.UP:
            return whole + (rest > 0)
        case Rounding.DOWN:
            return whole
        case Rounding.HALF_EVEN:
            return whole + (rest * 2 > metric.round_to or (rest * 2 == metric.round_to and whole % 2 == 1))


def describe_formula(metric: Metric) -> str:
    """Say in words how a metric's records become its billed quantity."""
    sentences = {
        Formula.SUM: "all values added",
        Formula.COUNT: "how many records there are",
        Formula.MAX: "the highest value",
        Formula.LAST: "the value of the newest record, by time of use and then order of arrival",
        Formula.UNIQUE: "how many different unique keys were seen",
    }
    roundings = {
        Rounding.NONE: "not rounded",
        Rounding.UP: f"rounded up to started {metric.round_to}s",
        Rounding.DOWN: f"rounded down to full {metric.round_to}s",
        Rounding.HALF_EVEN: f"rounded to the nearest {metric.round_to}, halves to the even one",
    }
    return f"{sentences[metric.formula]}, {roundings[metric.rounding]}"


def span_of_days(first: date, last: date, zone: ZoneInfo) -> Period:
    """Return the span of local days, both included.

    Raises: InvalidUsageError when they are in the wrong order.
    """
    if last < first:
        raise InvalidUsageError("span", f"it ends on {last}, before it starts on {first}; swap --start and --end")
    return Period(_day(first, zone).start, _day(last, zone).end)


def span_of_words(words: str, now: datetime, zone: ZoneInfo) -> Period:
    """Read a span: a month (2026-01), a day (2026-01-15), or the current day, week or month.

    Raises: InvalidUsageError for anything else.
    """
    try:
        if words in {PeriodKind.DAY, PeriodKind.WEEK, PeriodKind.MONTH}:
            return period_containing(PeriodKind(words), now, zone)
        if len(words) == len("2026-01"):
            middle = date.fromisoformat(f"{words}-15")
            return period_containing(PeriodKind.MONTH, _day(middle, zone).start, zone)
        return _day(date.fromisoformat(words), zone)
    except ValueError:
        raise InvalidUsageError(
            "period", f"{words!r} is no span; write for example 2026-01, 2026-01-15, day, week or month"
        ) from None


def _day(day: date, zone: ZoneInfo) -> Period:
    noon = datetime.combine(day, time(12), tzinfo=zone)
    return period_containing(PeriodKind.DAY, noon, zone)
