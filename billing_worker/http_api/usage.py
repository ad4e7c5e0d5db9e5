"""`POST /v1/usage`: records come in, and nothing is answered 200 before the commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, g, request

from billing_worker.database.group_commit import GroupCommit, NotStoredError, RoomFullError
from billing_worker.domains.usage.errors import (
    UnknownMetricError,
    UnknownUserError,
    UsageError,
    UsageKeyConflictError,
)
from billing_worker.domains.usage.reading import EXAMPLE, ReadRecords
from billing_worker.domains.usage.services.record_group import UsageCall
from billing_worker.domains.usage.services.record_usage import RecordOutcome, RefusedRecord
from billing_worker.http_api.answers import answer, read_body, unavailable
from billing_worker.http_api.buffered import BufferedIntake, BufferFullError, RedisAwayError
from billing_worker.http_api.metrics import ApiMetrics
from billing_worker.http_api.records import read_request

STATUSES = ("accepted", "duplicate", "buffered", "held", "refused")
ACCEPTED: Mapping[str, object] = {"status": "accepted", "code": 200}
BUFFERED: Mapping[str, object] = {"status": "buffered", "code": 202}
DUPLICATE: Mapping[str, object] = {"status": "duplicate", "code": 200}

_ERRORS: Sequence[tuple[type[UsageError], int, str]] = (
    (UsageKeyConflictError, 409, "conflict"),
    (UnknownUserError, 422, "unknown_user"),
    (UnknownMetricError, 422, "unknown_metric"),
    (UsageError, 422, "invalid"),
)


@dataclass(frozen=True)
class UsageEndpoints:
    """The addresses of usage."""

    intake: GroupCommit[UsageCall, RecordOutcome]
    metrics: ApiMetrics
    keyless: bool
    buffered: BufferedIntake | None = None

    def blueprint(self) -> Blueprint:
        """Offer the endpoints."""
        routes = Blueprint("usage", __name__)
        routes.add_url_rule("/usage", view_func=self.record, methods=["POST"])
        return routes

    def record(self) -> Response:
        """Record what the body holds: 200 all well, 207 some refused; one record alone is answered by its own code."""
        read, is_single = read_request(
            read_body(),
            content_type=request.mimetype,
            header_key=request.headers.get("Idempotency-Key"),
            keyless=self.keyless,
        )
        results = self._record(read, UsageCall(read.records, f"http:{g.caller}"))
        told = Counter(str(result["status"]) for result in results)
        for status, number in told.items():
            self.metrics.records.labels(status).inc(number)
        if is_single:
            [result] = results
            return answer(int(str(result["code"])), result)
        code = 207 if told["refused"] else 202 if told["buffered"] else 200
        return answer(code, {**{status: told[status] for status in STATUSES}, "results": results})

    def _record(self, read: ReadRecords, call: UsageCall) -> list[Mapping[str, object]]:
        if not read.records:
            return _results(read, None)
        if self.buffered is None:
            return _results(read, self._store(call))
        call = self.buffered.keyed(call)
        try:
            return _results(read, self.buffered.add(call))
        except RedisAwayError:
            return _results(read, self._store(call))
        except BufferFullError:
            self.metrics.records.labels("postponed").inc(len(call.records))
            raise unavailable("buffer_full", "USAGE_BUFFER_SIZE records wait for the collector", status=429) from None

    def _store(self, call: UsageCall) -> RecordOutcome:
        try:
            return self.intake.store(call, weight=len(call.records))
        except RoomFullError as error:
            self.metrics.records.labels("postponed").inc(len(call.records))
            raise unavailable(error.reason, f"{error}: send them again in a moment", status=429) from error
        except NotStoredError as error:
            self.metrics.records.labels("postponed").inc(len(call.records))
            raise unavailable(error.reason, f"{error}: send the same records again under the same keys") from error


def _results(read: ReadRecords, outcome: RecordOutcome | Sequence[RefusedRecord] | None) -> list[Mapping[str, object]]:
    """Tell what became of each item; of buffered records only the refused ones are known yet."""
    count = len(read.positions) + len(read.errors)
    is_recorded = isinstance(outcome, RecordOutcome)
    results: list[Mapping[str, object]] = [ACCEPTED if is_recorded else BUFFERED] * count
    for position, error in read.errors.items():
        results[position] = _refusal(error)
    if isinstance(outcome, RecordOutcome):
        for index in outcome.duplicate_indexes:
            results[read.positions[index]] = DUPLICATE
        for index, reason in outcome.held:
            results[read.positions[index]] = {"status": "held", "code": 202, "reason": reason.value}
    for refused in outcome.refused if isinstance(outcome, RecordOutcome) else outcome or ():
        results[read.positions[refused.index]] = _refusal(refused.error)
    return results


def _refusal(error: UsageError) -> Mapping[str, object]:
    code, reason = next((code, reason) for kind, code, reason in _ERRORS if isinstance(error, kind))
    example = {} if code == 409 else {"example": EXAMPLE}  # noqa: PLR2004 - the status's own number
    return {"status": "refused", "code": code, "reason": reason, "message": str(error), **example}
