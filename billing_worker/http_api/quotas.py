"""`POST /v1/quota/check`, `/reserve`, `/commit` and `/release`: may a user go on, decided before the work is done."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

import structlog
from flask import Blueprint, Response, g, request

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.gate import DATABASE_AWAY, QuotaGate
from billing_worker.domains.quotas.services.end_reservation import end_reservation
from billing_worker.domains.quotas.states import Reason
from billing_worker.http_api.answers import ApiError, answer, read_object
from billing_worker.http_api.metrics import ApiMetrics

CHECK_EXAMPLE: Mapping[str, object] = {"user": "user123", "metric": "api_calls", "units": 1}
RESERVE_EXAMPLE: Mapping[str, object] = {**CHECK_EXAMPLE, "units": 50, "lasts_seconds": 600}
END_EXAMPLE: Mapping[str, object] = {"reservation": "0b5f2c1e-7d3a-4c58-9d0e-2f6a1b7c8d90"}
COMMIT_EXAMPLE: Mapping[str, object] = {**END_EXAMPLE, "units": 42}

KEY_SPACE = UUID("5a1b6c0e-31f4-4a54-8f43-6b0d5f6f1c9d")
"""Reservations asked for with an Idempotency-Key get an id of it, the same at each retry."""

REPORT_SECONDS = 1.0
LASTS_SECONDS = 600

_log = structlog.get_logger(__name__)


class LeaseReporter:
    """Tells PostgreSQL in the background what this process has granted of leases that are over."""

    def __init__(self, gate: QuotaGate) -> None:
        self._gate = gate
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quota-lease-reporter", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def stop(self) -> None:
        """Report everything; what cannot be reported counts as spent in whole after some minutes."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._report(everything=True)

    def _run(self) -> None:
        while not self._over.wait(REPORT_SECONDS):
            self._report(everything=False)

    def _report(self, *, everything: bool) -> None:
        try:
            self._gate.follow_clock()
            self._gate.report(everything=everything)
        except DATABASE_AWAY as error:
            _log.warning("quota_leases_unreported", error=type(error).__name__)


@dataclass(frozen=True)
class QuotaEndpoints:
    """The addresses of quotas."""

    gate: QuotaGate
    unit_of_work: UnitOfWork
    metrics: ApiMetrics
    enforcing: bool

    def blueprint(self) -> Blueprint:
        """Offer the endpoints."""
        routes = Blueprint("quota", __name__)
        for view in (self.check, self.reserve, self.commit, self.release):
            routes.add_url_rule(f"/quota/{view.__name__}", view_func=view, endpoint=view.__name__, methods=["POST"])
        return routes

    def check(self) -> Response:
        """Grant units or refuse them, 200 either way: `allowed` says which."""
        body = _read(CHECK_EXAMPLE, {"units"})
        decision = self.gate.check(
            _text(body, "user", CHECK_EXAMPLE),
            _text(body, "metric", CHECK_EXAMPLE),
            _whole(body, "units", CHECK_EXAMPLE, default=1),
        )
        self.metrics.quota_checks.labels(decision.reason, decision.decided_by).inc()
        return answer(
            200,
            {
                "allowed": decision.allowed,
                "reason": decision.reason,
                "decided_by": decision.decided_by,
                "remaining": decision.remaining,
                "limit": decision.limit,
                "resets_at": decision.resets_at.isoformat() if decision.resets_at else None,
            },
        )

    def reserve(self) -> Response:
        """Hold units for one piece of work; `reservation` is null when refused, or when there is no quota."""
        body = _read(RESERVE_EXAMPLE, {"units", "lasts_seconds", "reservation"})
        reserved = self.gate.reserve(
            _reservation_id(body),
            _text(body, "user", RESERVE_EXAMPLE),
            _text(body, "metric", RESERVE_EXAMPLE),
            _whole(body, "units", RESERVE_EXAMPLE, default=1),
            lasts=timedelta(seconds=_whole(body, "lasts_seconds", RESERVE_EXAMPLE, default=LASTS_SECONDS)),
        )
        made, one = reserved.reservation, reserved.period
        return answer(
            200,
            {
                "allowed": reserved.reason is not Reason.USED_UP,
                "reason": reserved.reason,
                "reservation": str(made.id) if made else None,
                "status": made.status if made else None,
                "expires_at": made.expires_at.isoformat() if made else None,
                "remaining": one.use.available if one else None,
                "limit": one.use.granted if one else None,
                "resets_at": one.period.end.isoformat() if one else None,
            },
        )

    def commit(self) -> Response:
        """Count what a reservation's work has taken, all of it unless `units` says less; the rest is free again."""
        body = _read(COMMIT_EXAMPLE, {"units"})
        return self._end(_id(body, COMMIT_EXAMPLE), body, is_done=True)

    def release(self) -> Response:
        """Give a reservation up."""
        body = _read(END_EXAMPLE, set())
        return self._end(_id(body, END_EXAMPLE), body, is_done=False)

    def _end(self, reservation_id: UUID, body: Mapping[str, Any], *, is_done: bool) -> Response:
        units = _whole(body, "units", COMMIT_EXAMPLE, least=0) if "units" in body else None
        now = self.unit_of_work.now()
        with self.unit_of_work.transaction() as session:
            ended = end_reservation(
                session, reservation_id, is_done=is_done, units=units, enforcing=self.enforcing, now=now
            )
        return answer(
            200,
            {
                "reservation": str(ended.id),
                "status": ended.status,
                "user": ended.user_id,
                "metric": ended.metric_type,
                "units": ended.units,
                "spent": ended.spent,
            },
        )


def _read(example: Mapping[str, object], optional: set[str]) -> dict[str, Any]:
    """Read the body and refuse fields that nobody reads: a misspelt one would be left out in silence."""
    body = read_object(example)
    known = {*example, *optional}
    unknown, missing = sorted(set(body) - known), sorted(set(example) - optional - set(body))
    if unknown:
        raise ApiError(
            422, "unknown_field", f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}", example
        )
    if missing:
        raise ApiError(422, "missing_field", f"missing: {', '.join(missing)}", example)
    return body


def _text(body: Mapping[str, Any], name: str, example: Mapping[str, object]) -> str:
    value = body[name]
    if not isinstance(value, str) or not 0 < len(value) <= 255 or not value.isprintable():  # noqa: PLR2004 - as in usage
        raise ApiError(422, "invalid_value", f"{name} must be 1 to 255 printable characters", example)
    return value


def _whole(
    body: Mapping[str, Any], name: str, example: Mapping[str, object], *, default: int = 1, least: int = 1
) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ApiError(422, "invalid_value", f"{name} must be a whole number of at least {least}", example)
    return value


def _id(body: Mapping[str, Any], example: Mapping[str, object]) -> UUID:
    try:
        return UUID(str(body["reservation"]))
    except ValueError:
        raise ApiError(422, "invalid_value", "reservation must be the id that reserve answered", example) from None


def _reservation_id(body: Mapping[str, Any]) -> UUID:
    """Take the caller's id, or make one of its Idempotency-Key; without both a retry reserves again."""
    if "reservation" in body:
        return _id(body, {**RESERVE_EXAMPLE, **END_EXAMPLE})
    key = request.headers.get("Idempotency-Key")
    return uuid5(KEY_SPACE, f"{g.caller}/{key}") if key else uuid4()
