"""`/healthz`, `/readyz` and `/metrics`: alive, able to store, and how it goes."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

import psycopg2
from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST
from psycopg2.extensions import connection as psycopg2_connection
from redis import Redis
from redis.exceptions import RedisError

from billing_worker.inbox.delivery_writer import Connect
from billing_worker.kernel.errors import TerminalError
from webhook_receiver.metrics import IntakeMetrics

STALE_SECONDS = 60
"""An event that waits longer than a minute means that workers are away or behind."""

# One probe of the queue per lane: cheap whatever the backlog and however long the history.
_STATE = """
SELECT current_setting('synchronous_commit') <> 'off',
    extract(epoch FROM clock_timestamp() - min(received_at)
        + make_interval(secs => (SELECT offset_seconds FROM billing.billing_clock WHERE id = 1)))
FROM (
    SELECT (SELECT event.received_at FROM billing.billing_webhook_queue queue
            JOIN billing.billing_webhook_events event ON event.id = queue.event_row_id
            WHERE queue.lane = lanes.lane AND queue.position > lanes.taken_through
            ORDER BY queue.position LIMIT 1) AS received_at
    FROM billing.billing_lanes AS lanes
) AS oldest
"""


@dataclass(frozen=True)
class HealthEndpoints:
    """The addresses that balancers, supervisors and Prometheus ask."""

    connect: Connect
    redis: Redis
    metrics: IntakeMetrics
    lock: threading.Lock

    def blueprint(self) -> Blueprint:
        """Offer the endpoints."""
        routes = Blueprint("health", __name__)
        routes.add_url_rule("/healthz", view_func=self.healthz)
        routes.add_url_rule("/readyz", view_func=self.readyz)
        routes.add_url_rule("/metrics", view_func=self.show_metrics, endpoint="metrics")
        return routes

    def healthz(self) -> Response:
        """Say that the process answers."""
        return _answer(200, {"status": "live"})

    def readyz(self) -> Response:
        """Fail only when nothing can be stored; what is merely worse than usual is `degraded`."""
        try:
            durable, oldest_seconds = self._ask_database()
        except (psycopg2.Error, TerminalError) as error:
            return _answer(503, {"status": "unavailable", "postgresql": " ".join(str(error).split())})
        degraded = {}
        if not durable:
            degraded["durability"] = "synchronous_commit is off: a crash of PostgreSQL loses acknowledged events"
        if oldest_seconds is not None and oldest_seconds > STALE_SECONDS:
            degraded["oldest_pending_event"] = f"waits for {oldest_seconds:.0f} s"
        if (redis := self._redis_problem()) is not None:
            degraded["redis"] = redis
        return _answer(
            200,
            {
                "status": "degraded" if degraded else "ready",
                "degraded": degraded,
                "oldest_pending_seconds": oldest_seconds,
            },
        )

    def show_metrics(self) -> Response:
        """Show the figures."""
        return Response(self.metrics.render(), content_type=CONTENT_TYPE_LATEST)

    def _ask_database(self) -> tuple[bool, float | None]:
        with self.lock:  # one connection for all who ask at once
            connection = self.connect()
            try:
                return _query(connection)
            finally:
                connection.close()

    def _redis_problem(self) -> str | None:
        try:
            self.redis.ping()
        except RedisError as error:
            return " ".join(str(error).split())
        return None


def _query(connection: psycopg2_connection) -> tuple[bool, float | None]:
    with connection.cursor() as cursor:
        cursor.execute(_STATE)
        durable, oldest_seconds = cursor.fetchone() or (True, None)
    return durable, None if oldest_seconds is None else round(float(oldest_seconds), 1)


def _answer(status: int, body: dict[str, object]) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
