"""The Flask application: who may call, the shape of errors, and one blueprint per noun."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog
from flask import Blueprint, Flask, Response, g, request
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException

from billing_worker.http_api.answers import MAX_BODY_BYTES, ApiError, answer, unavailable
from billing_worker.http_api.auth import caller_of
from billing_worker.http_api.health import HealthEndpoints
from billing_worker.http_api.metrics import ApiMetrics
from billing_worker.kernel.errors import (
    InvalidValueError,
    NotFoundError,
    RefusedError,
    RetryableError,
    TerminalError,
    UnavailableError,
)
from billing_worker.runtime.values import ApiKey

_log = structlog.get_logger(__name__)

_STATUSES: Sequence[tuple[type[TerminalError], int, str]] = (
    (NotFoundError, 404, "not_found"),
    (RefusedError, 409, "refused"),
    (UnavailableError, 501, "unavailable"),
    (InvalidValueError, 422, "invalid_value"),
    (TerminalError, 422, "refused"),
)
"""How the two families of errors look from outside; the first that fits counts."""


class Endpoints(Protocol):
    """The addresses of one noun below `/v1`; `g.caller` names who asks."""

    def blueprint(self) -> Blueprint:
        """Offer the endpoints."""


def create_app(
    nouns: Iterable[Endpoints], *, health: HealthEndpoints, keys: Sequence[ApiKey], metrics: ApiMetrics
) -> Flask:
    """Put the endpoints together; only health and metrics answer without a key."""
    app = Flask("http_api", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES

    def admit() -> None:
        g.started = time.perf_counter()
        if request.path not in HealthEndpoints.PATHS:
            g.caller = caller_of(request.headers.get("Authorization"), keys)

    def measure(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"
        metrics.requests.labels(route, str(response.status_code)).inc()
        metrics.seconds.labels(route).observe(time.perf_counter() - g.started)
        return response

    app.before_request(admit)
    app.after_request(measure)
    for noun in nouns:
        app.register_blueprint(noun.blueprint(), url_prefix="/v1")
    app.register_blueprint(health.blueprint())
    app.register_error_handler(ApiError, ApiError.response)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(TerminalError, _terminal_error)
    app.register_error_handler(RetryableError, _retryable_error)
    app.register_error_handler(DBAPIError, _database_error)
    app.register_error_handler(PoolTimeoutError, _database_error)
    return app


def _http_error(error: HTTPException) -> Response:
    reason = error.name.lower().replace(" ", "_")
    methods = getattr(error, "valid_methods", None)
    headers = {"Allow": ", ".join(sorted(methods))} if methods else {}
    message = error.description or error.name
    if error.code == 413:  # noqa: PLR2004 - the status's own number
        message = f"the body is larger than {MAX_BODY_BYTES} bytes: send smaller batches"
    return ApiError(error.code or 500, reason, message, headers=headers).response()


def _terminal_error(error: TerminalError) -> Response:
    status, reason = next((status, reason) for kind, status, reason in _STATUSES if isinstance(error, kind))
    return answer(status, {"reason": reason, "message": str(error)})


def _retryable_error(error: RetryableError) -> Response:
    return unavailable(getattr(error, "reason", "try_again"), str(error)).response()


def _database_error(error: DBAPIError | PoolTimeoutError) -> Response:
    if isinstance(error, DBAPIError) and not isinstance(error, OperationalError):
        _log.error("http_api_database_error", path=request.path, error=str(error.orig))
        return ApiError(500, "database_error", "the database refused the statement; the log has the reason").response()
    _log.warning("http_api_database_away", path=request.path, error=" ".join(str(error).split())[:200])
    return unavailable("database_away", "PostgreSQL is unreachable or busy: send it again").response()
