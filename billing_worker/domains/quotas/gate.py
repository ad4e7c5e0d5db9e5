"""The gate of a process: decides checks from leases in Redis, and asks PostgreSQL for more.

Shape: what a process knows of a lease is a hint; a unit is granted only if Redis took it from a lease that PostgreSQL
committed and of which this process is a known spender, or if PostgreSQL granted it itself. The process counts what it
granted per lease and reports it when it is done with the lease, so that a flush of Redis loses no count.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.errors import InvalidQuotaError
from billing_worker.domains.quotas.lease_store import Closed, Gone, LeaseStore, Spent
from billing_worker.domains.quotas.queries.leases import report_spent
from billing_worker.domains.quotas.rules import check_units
from billing_worker.domains.quotas.services.reserve_units import LASTS, LASTS_AT_MOST, Reserved, reserve_units
from billing_worker.domains.quotas.services.settle_known_leases import LeaseNews
from billing_worker.domains.quotas.services.take_units import Taken, take_units
from billing_worker.domains.quotas.states import DecidedBy, FailMode, Reason
from billing_worker.domains.usage.rules import MetricCatalog

_log = structlog.get_logger(__name__)

DATABASE_AWAY: Final = (OperationalError, InterfaceError, PoolTimeoutError)
REDIS_REST_SECONDS = 1.0
"""After Redis failed it is left alone for so long, so that a hung one does not slow every check."""

REPORT_AFTER_SECONDS = 2.0
"""A lease is reported so long after its deadline: every answer that was on its way has then come or timed out."""

JUMP_SECONDS = 5.0
"""Two readings of the clocks differ by less, however busy the machine is."""

MAX_DESKS = 100_000
"""Users remembered at most; forgetting one costs its next check a transaction."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a check.

    Shape: `remaining` is what was left when this was decided, None where nothing limits or nothing is known; other
    processes' leases of the last seconds are not in it.
    """

    allowed: bool
    reason: Reason
    decided_by: DecidedBy
    remaining: int | None = None
    limit: int | None = None
    resets_at: datetime | None = None


@dataclass(slots=True)
class _Handle:
    """A lease this process may spend, and what it has granted of it."""

    lease_id: UUID
    name: str
    deadline: float
    outside: int
    limit: int
    resets_at: datetime
    reason: Reason
    granted: int = 0
    is_done: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, units: int) -> bool:
        """Count units that Redis has taken, and say whether they are granted: not after the lease was reported."""
        with self.lock:
            if not self.is_done:
                self.granted += units
            return not self.is_done

    def is_over(self, now: float) -> bool:
        """Say whether nothing can be granted of this lease any more."""
        return self.is_done or now >= self.deadline + REPORT_AFTER_SECONDS

    def finish(self) -> int:
        """Grant nothing of this lease any more and return what was."""
        with self.lock:
            self.is_done = True
            return self.granted


@dataclass(slots=True)
class _Desk:
    """One user's metric: its lease, and the door through which one caller at a time asks PostgreSQL."""

    handle: _Handle | None = None
    fail_mode: FailMode = FailMode.CLOSED
    door: threading.Lock = field(default_factory=threading.Lock)


class QuotaGate:
    """Checks quotas for one process; thread-safe.

    Phases: one round trip to Redis; where that does not decide, one transaction, never one across the other.
    """

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        store: LeaseStore | None,
        *,
        metrics: MetricCatalog,
        zone: ZoneInfo,
        enforcing: bool,
        leases: bool = True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._store = store
        self._metrics, self._zone, self._enforcing = metrics, zone, enforcing
        self._spender_id = uuid4() if leases and store is not None else None
        self._clock = clock
        self._desks: dict[tuple[str, str], _Desk] = {}
        self._unreported: dict[UUID, _Handle] = {}
        self._guard = threading.Lock()
        self._redis_rests_until = float("-inf")
        self._seen: tuple[datetime, float] | None = None

    def check(self, user_id: str, metric_type: str, units: int = 1) -> Decision:
        """Grant units, or refuse them all.

        Raises: UnknownMetricError, InvalidQuotaError.
        """
        desk = self._desks.get((user_id, metric_type))
        if desk is None:
            self._metrics.get(metric_type)
            desk = self._desk(user_id, metric_type)
        check_units(units)
        handle = desk.handle
        if handle is not None:
            answer = self._spend(user_id, handle, units)
            if isinstance(answer, Decision):
                return answer
        try:
            return self._ask(user_id, metric_type, units, desk)
        except DATABASE_AWAY as error:
            allowed = desk.fail_mode is FailMode.OPEN or not self._enforcing
            _log.warning(
                "quota_enforcement",
                action="failed_open" if allowed else "failed_closed",
                user_id=user_id,
                metric_type=metric_type,
                units=units,
                error=type(error).__name__,
            )
            return Decision(allowed, Reason.UNREACHABLE, DecidedBy.FAIL_MODE)

    def reserve(
        self, reservation_id: UUID, user_id: str, metric_type: str, units: int, *, lasts: timedelta = LASTS
    ) -> Reserved:
        """Hold units for one piece of work; PostgreSQL alone decides, with what Redis had leased called back.

        Raises: UnknownMetricError, InvalidQuotaError, ReservationConflictError; DBAPIError when PostgreSQL is away.
        """
        self._metrics.get(metric_type)
        check_units(units)
        if not timedelta() < lasts <= LASTS_AT_MOST:
            problem = f"{lasts} is not between 1 second and {LASTS_AT_MOST}; for example 600"
            raise InvalidQuotaError("lasts_seconds", problem)
        reserved = self._reserve(reservation_id, user_id, metric_type, units, lasts, LeaseNews())
        if reserved.reason is Reason.USED_UP and reserved.recall:
            recalled = self.close_leases(user_id, reserved.recall)
            if recalled.left or recalled.missing:
                reserved = self._reserve(reservation_id, user_id, metric_type, units, lasts, recalled)
        return reserved

    def report(self, *, everything: bool = False) -> int:
        """Tell PostgreSQL what was granted of leases whose time is over, or of all when the process ends.

        Raises: DBAPIError; what could not be reported stays for the next call.
        """
        now = self._clock()
        with self._guard:
            done = [one for one in self._unreported.values() if everything or one.is_over(now)]
        if not done or self._spender_id is None:
            return 0
        spent = {handle.lease_id: handle.finish() for handle in done}
        at = self._unit_of_work.now()
        with self._unit_of_work.transaction() as session:
            report_spent(session, self._spender_id, spent, now=at)
        self._forget(*spent)
        return len(spent)

    def follow_clock(self) -> None:
        """Let leases go when billing time has jumped, as under the sandbox: their periods may be over."""
        now, at = self._unit_of_work.now(), self._clock()
        with self._guard:
            before, self._seen = self._seen, (now, at)
            if before is None or (now - before[0]).total_seconds() - (at - before[1]) < JUMP_SECONDS:
                return
            for handle in self._unreported.values():
                handle.deadline = min(handle.deadline, at)

    def close_leases(self, user_id: str, lease_ids: Iterable[UUID]) -> LeaseNews:
        """Ask Redis for leases whose units are needed elsewhere."""
        left: dict[UUID, int] = {}
        missing: set[UUID] = set()
        for lease_id in lease_ids:
            if self._store is None or self._redis_rests():
                break
            match self._store.close(user_id, lease_id):
                case Closed(units):
                    left[lease_id] = units
                case Gone.ABSENT:
                    missing.add(lease_id)
                case Gone.UNREACHABLE:
                    self._let_redis_rest()
        with self._guard:
            own = [self._unreported[lease_id] for lease_id in missing if lease_id in self._unreported]
        return LeaseNews(left, frozenset(missing), {handle.lease_id: handle.finish() for handle in own})

    def _desk(self, user_id: str, metric_type: str) -> _Desk:
        with self._guard:
            if len(self._desks) >= MAX_DESKS:
                self._desks = {key: desk for key, desk in self._desks.items() if desk.handle is not None}
            return self._desks.setdefault((user_id, metric_type), _Desk())

    def _spend(self, user_id: str, handle: _Handle, units: int) -> Decision | LeaseNews:
        """Spend from a lease, or learn why not."""
        store = self._store
        if handle.is_done:
            return _news_of_missing(handle)
        if store is None or self._redis_rests():
            return LeaseNews()
        if self._clock() >= handle.deadline:
            answer: Spent | Closed | Gone = store.close(user_id, handle.lease_id)
        else:
            answer = store.spend(user_id, handle.name, units)
        if isinstance(answer, Spent) and handle.count(units):
            remaining = handle.outside + answer.left
            return Decision(True, handle.reason, DecidedBy.REDIS, remaining, handle.limit, handle.resets_at)
        if isinstance(answer, Closed):
            return LeaseNews(left={handle.lease_id: answer.left})
        if answer is Gone.UNREACHABLE:
            self._let_redis_rest()
            return LeaseNews()
        return _news_of_missing(handle)

    def _ask(self, user_id: str, metric_type: str, units: int, desk: _Desk) -> Decision:
        """Renew through PostgreSQL, one caller at a time: those behind find the lease that the first one brought."""
        with desk.door:
            news, handle = LeaseNews(), desk.handle
            if handle is not None:
                answer = self._spend(user_id, handle, units)
                if isinstance(answer, Decision):
                    return answer
                news = answer
            started = self._clock()
            now = self._unit_of_work.now()
            taken = self._take(user_id, metric_type, units, news, now)
            if taken.reason is Reason.USED_UP and taken.recall:
                recalled = self.close_leases(user_id, taken.recall)
                if recalled.left or recalled.missing:
                    taken = self._take(user_id, metric_type, units, recalled, now)
            # only now: had PostgreSQL not heard the news, they would have to be told again
            if handle is not None and (news.left or news.missing or started >= handle.deadline):
                desk.handle = None
            self._adopt(user_id, desk, taken, started, now)
        if taken.reason is Reason.USED_UP:
            _log.info("quota_enforcement", action="refused", user_id=user_id, metric_type=metric_type, units=units)
        return _decision(taken)

    def _take(self, user_id: str, metric_type: str, units: int, news: LeaseNews, now: datetime) -> Taken:
        lease_id, taken = uuid4(), None
        try:
            with self._unit_of_work.transaction() as session:
                taken = take_units(
                    session,
                    user_id,
                    metric_type,
                    units,
                    news=news,
                    spender_id=None if self._redis_rests() else self._spender_id,
                    lease_id=lease_id,
                    metrics=self._metrics,
                    zone=self._zone,
                    enforcing=self._enforcing,
                    now=now,
                )
        except DATABASE_AWAY:
            if taken is not None:  # the commit itself failed, or only its answer
                self._disown(lease_id, now)
            raise
        self._forget(*news.left, *news.spent)
        return taken

    def _disown(self, lease_id: UUID, now: datetime) -> None:
        """Remember that nothing was granted of a lease that may or may not have been committed."""
        with self._guard:
            self._unreported[lease_id] = _Handle(
                lease_id, str(lease_id), self._clock(), 0, 0, now, Reason.UNREACHABLE, is_done=True
            )

    def _reserve(
        self, reservation_id: UUID, user_id: str, metric_type: str, units: int, lasts: timedelta, news: LeaseNews
    ) -> Reserved:
        now = self._unit_of_work.now()
        with self._unit_of_work.transaction() as session:
            reserved = reserve_units(
                session,
                reservation_id,
                user_id,
                metric_type,
                units,
                lasts=lasts,
                news=news,
                spender_id=self._spender_id,
                metrics=self._metrics,
                zone=self._zone,
                enforcing=self._enforcing,
                now=now,
            )
        self._forget(*news.left, *news.spent)
        return reserved

    def _adopt(self, user_id: str, desk: _Desk, taken: Taken, started: float, now: datetime) -> None:
        """Go on with the lease that PostgreSQL gave."""
        lease, one = taken.lease, taken.period
        if one is not None:
            desk.fail_mode = one.terms.fail_mode
        if lease is None or one is None or self._store is None:
            return
        with self._guard:
            known = self._unreported.get(lease.id)
        if known is not None:  # what was granted of a lease is counted in one place
            desk.handle = None if known.is_done else known
            return
        handle = _Handle(
            lease_id=lease.id,
            name=str(lease.id),
            deadline=started + (lease.expires_at - now).total_seconds(),
            outside=max(0, one.use.available),
            limit=one.use.granted,
            resets_at=one.period.end,
            reason=taken.reason,
        )
        with self._guard:
            self._unreported[lease.id] = handle
        if lease.is_new and not self._store.install(user_id, lease.id, lease.units):
            self._let_redis_rest()
        desk.handle = handle

    def _forget(self, *lease_ids: UUID) -> None:
        with self._guard:
            for lease_id in lease_ids:
                self._unreported.pop(lease_id, None)

    def _redis_rests(self) -> bool:
        return self._clock() < self._redis_rests_until

    def _let_redis_rest(self) -> None:
        self._redis_rests_until = self._clock() + REDIS_REST_SECONDS


def _news_of_missing(handle: _Handle) -> LeaseNews:
    return LeaseNews(missing=frozenset((handle.lease_id,)), spent={handle.lease_id: handle.finish()})


def _decision(taken: Taken) -> Decision:
    one, allowed = taken.period, taken.reason is not Reason.USED_UP
    if one is None:
        return Decision(allowed, taken.reason, DecidedBy.POSTGRESQL)
    lease_units = taken.lease.units if taken.lease is not None and taken.lease.is_new else 0
    remaining = one.use.available + lease_units
    return Decision(allowed, taken.reason, DecidedBy.POSTGRESQL, remaining, one.use.granted, one.period.end)
