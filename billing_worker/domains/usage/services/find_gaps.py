"""Find silences and tell what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.usage.gaps import BASELINE, HOUR, Silence, Verdict, find_silences
from billing_worker.domains.usage.queries import activity
from billing_worker.kernel.periods import Period
from billing_worker.worker.uptime import BILLING, COLLECTOR, Uptime, read_uptime

SERVICES = frozenset({BILLING, COLLECTOR})
NOTHING = timedelta()


@dataclass(frozen=True, slots=True)
class Gap:
    """One silence of one metric with its meaning and what speaks for it."""

    metric_type: str
    start: datetime
    end: datetime
    hours: float
    expected_hours: float
    verdict: Verdict
    evidence: str


def find_gaps(
    session: Session, *, user_id: str, metric: str | None, period: Period, zone: ZoneInfo, now: datetime
) -> list[Gap]:
    """Return when a user had no usage although his own rhythm of four weeks says he should have had some.

    Shape: ends with the last full hour; the first weeks of a user have no rhythm yet and no gaps.
    """
    end = min(period.end, now.replace(minute=0, second=0, microsecond=0))
    known = Period(min(period.start - BASELINE, end), end)
    asked = Period(min(period.start, end), end)
    uptimes = [one for one in read_uptime(session, start=known.start, end=end) if one.service in SERVICES]
    return [
        _gap(session, user_id, name, silence, known, uptimes)
        for name, hours in activity.list_active_hours(session, user_id, metric, known).items()
        for silence in find_silences(hours, known, asked, zone)
    ]


def _gap(
    session: Session, user_id: str, metric: str, silence: Silence, known: Period, uptimes: Sequence[Uptime]
) -> Gap:
    verdict, evidence = _judge(session, user_id, silence, known, uptimes)
    return Gap(
        metric_type=metric,
        start=silence.start,
        end=silence.end,
        hours=(silence.end - silence.start) / HOUR,
        expected_hours=round(silence.expected_hours, 1),
        verdict=verdict,
        evidence=evidence,
    )


def _judge(
    session: Session, user_id: str, silence: Silence, known: Period, uptimes: Sequence[Uptime]
) -> tuple[Verdict, str]:
    down = [(one.service, _down(one, silence)) for one in uptimes]
    worst = max(down, key=lambda one: one[1], default=("", NOTHING))
    if worst[1] > NOTHING:
        lasted = worst[1] / HOUR
        return Verdict.METERING_BROKEN, f"{worst[0]} was down for {lasted:.1f} h of it; see nself billing uptime"
    others = activity.count_other_hours(session, user_id, Period(silence.start, silence.end))
    if not others and activity.count_other_hours(session, user_id, known):
        return Verdict.METERING_BROKEN, "nobody else's usage arrived in that time either"
    if uptimes and all(one.known_since <= silence.start for one in uptimes):
        return Verdict.NO_USAGE, "services were up all the time" + (", others' usage arrived" if others else "")
    if others:
        return Verdict.NO_USAGE, "others' usage arrived; the record of uptime does not reach back that far"
    return Verdict.UNKNOWN, "no record of uptime and no other user to compare with"


def _down(uptime: Uptime, silence: Silence) -> timedelta:
    overlaps = (min(one.end, silence.end) - max(one.start, silence.start) for one in uptime.outages)
    return sum((overlap for overlap in overlaps if overlap > NOTHING), NOTHING)
