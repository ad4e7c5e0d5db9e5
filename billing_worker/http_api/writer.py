"""The writer behind `POST /v1/usage`: groups of calls go into PostgreSQL, one commit each."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from billing_worker.database.group_commit import DatabaseAwayError, GroupCommit, GroupReport, Room
from billing_worker.domains.usage.services.record_group import UsageCall, record_group
from billing_worker.domains.usage.services.record_usage import RecordOutcome
from billing_worker.domains.usage.states import Unknown
from billing_worker.http_api.container import ApiContainer
from billing_worker.http_api.start_check import check_database
from billing_worker.kernel.errors import RefusedError

MAX_GROUP = 10_000
"""Records per commit: larger groups get no cheaper per record, while everybody in them waits longer."""

MAX_WAITING = 50_000
"""About a second of work; whoever comes then is told 429 rather than kept waiting."""

_log = structlog.get_logger(__name__)


class UsageWriter:
    """Stores groups of calls; the database is checked by the first one that reaches it."""

    def __init__(self, container: ApiContainer) -> None:
        self._container = container
        self._checked = False

    def group_commit(self) -> GroupCommit[UsageCall, RecordOutcome]:
        """Build the room in which calls wait for this writer."""
        room = Room(MAX_GROUP, MAX_WAITING, self._container.settings.billing_api_timeout)
        return GroupCommit(self.store, room=room, on_group=self._count)

    def store(self, calls: Sequence[UsageCall]) -> list[RecordOutcome]:
        """Record calls in one transaction.

        Raises: DatabaseAwayError.
        """
        try:
            self._check()
            return self._record(calls)
        except (DBAPIError, PoolTimeoutError, RefusedError) as error:
            cause = " ".join(str(getattr(error, "orig", None) or error).split())
            _log.warning("usage_not_recorded", records=sum(len(call.records) for call in calls), error=cause)
            raise DatabaseAwayError("PostgreSQL is unreachable or refused the records") from error

    def _record(self, calls: Sequence[UsageCall]) -> list[RecordOutcome]:
        try:
            return record_group(
                self._container.unit_of_work,
                calls,
                metrics=self._container.catalog,
                unknown=Unknown(self._container.settings.usage_unknown),
            )
        except DataError:
            if len(calls) == 1:
                raise
            middle = len(calls) // 2  # a row that cannot be stored keeps its own call out, and no other
            return [*self._record(calls[:middle]), *self._record(calls[middle:])]

    def _check(self) -> None:
        if not self._checked:
            self._checked = check_database(self._container.engine, self._container.settings)

    def _count(self, report: GroupReport) -> None:
        metrics = self._container.metrics
        if report.failure:
            metrics.groups_failed.labels(report.failure).inc()
            return
        metrics.commit_seconds.observe(report.seconds)
        metrics.group_records.observe(report.size)
