"""`/healthz`, `/readyz` and `/metrics`: alive, able to take records, and how it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from billing_worker.http_api.answers import answer
from billing_worker.http_api.container import ApiContainer

_DURABLE = text("SELECT current_setting('synchronous_commit') <> 'off'")


@dataclass(frozen=True)
class HealthEndpoints:
    """The addresses that balancers, supervisors and Prometheus ask.

    Shape: `concerns` gives what a noun itself finds worse than usual, name → sentence.
    """

    PATHS: ClassVar[frozenset[str]] = frozenset({"/healthz", "/readyz", "/metrics"})

    container: ApiContainer
    concerns: Callable[[], Mapping[str, str]]

    def blueprint(self) -> Blueprint:
        """Offer the endpoints."""
        routes = Blueprint("health", __name__)
        routes.add_url_rule("/healthz", view_func=self.healthz)
        routes.add_url_rule("/readyz", view_func=self.readyz)
        routes.add_url_rule("/metrics", view_func=self.show_metrics, endpoint="metrics")
        return routes

    def healthz(self) -> Response:
        """Say that the process answers."""
        return answer(200, {"status": "live"})

    def readyz(self) -> Response:
        """Fail only when nothing can be taken in; what is merely worse than usual is `degraded`."""
        settings = self.container.settings
        degraded = dict(self.concerns())
        if not settings.api_keys:
            degraded["keys"] = "BILLING_API_KEYS is not set: every request is answered 401"
        degraded |= self._database_problem()
        degraded |= self._redis_problem()
        if "postgresql" in degraded and ("redis" in degraded or not settings.usage_enable_buffer):
            return answer(503, {"status": "unavailable", "degraded": degraded})
        return answer(200, {"status": "degraded" if degraded else "ready", "degraded": degraded})

    def _database_problem(self) -> Mapping[str, str]:
        try:
            with self.container.engine.connect() as connection:
                if connection.execute(_DURABLE).scalar_one():
                    return {}
        except SQLAlchemyError as error:
            return {"postgresql": " ".join(str(getattr(error, "orig", None) or error).split())}
        return {"durability": "synchronous_commit is off: a crash of PostgreSQL loses accepted records"}

    def _redis_problem(self) -> Mapping[str, str]:
        try:
            self.container.redis.ping()
        except RedisError as error:
            return {"redis": " ".join(str(error).split())}
        return {}

    def show_metrics(self) -> Response:
        """Show the figures."""
        return Response(self.container.metrics.render(), content_type=CONTENT_TYPE_LATEST)
