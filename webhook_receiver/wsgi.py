"""Build the receiver of one process; a WSGI server calls `build` in each of its workers."""

from __future__ import annotations

import atexit
import threading
from datetime import timedelta
from functools import partial

from flask import Flask
from redis import Redis

from billing_worker.inbox.group_commit import GroupCommit, GroupReport
from billing_worker.inbox.lane_wakes import LaneWakes
from billing_worker.inbox.states import EventStatus
from billing_worker.runtime.logs import configure_logs
from billing_worker.runtime.settings import Settings, load_settings
from billing_worker.stack.bound import bind_to_parent
from billing_worker.worker.wake import SOCKET_SECONDS, Waker
from webhook_receiver.app import create_app
from webhook_receiver.health import HealthEndpoints
from webhook_receiver.metrics import IntakeMetrics
from webhook_receiver.start_check import connect
from webhook_receiver.stripe_webhook import WebhookEndpoint

SERVICE = "webhook_receiver"
STOP_SECONDS = 2


def build() -> Flask:
    """Read the settings and build the application, its writer and its waker."""
    bind_to_parent("TERM")  # a worker whose server was killed would hold the port against the next one
    settings = load_settings()
    configure_logs(level=settings.billing_log_level, service=SERVICE)
    return build_app(settings)


def build_app(settings: Settings) -> Flask:
    """Build the application from settings."""
    metrics = IntakeMetrics()
    redis = Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
    )
    waker = Waker(settings.broker_url, redis, webhook_queues=settings.billing_webhook_queues)
    wakes = LaneWakes(waker, on_wake=metrics.count_wake)

    def after_group(report: GroupReport) -> None:
        metrics.count_group(report)
        for row in report.stored:
            if row.status is EventStatus.PENDING:
                wakes.add(row.lane, woken_by=f"{row.key.event_id} {row.type}")

    intake = GroupCommit(partial(connect, settings), timeout=settings.webhook_timeout, on_group=after_group)
    metrics.watch_waiting(lambda: intake.waiting)
    # Answers are out by now; a server that skips this loses a wake-up at most, which rescue makes good in a second.
    atexit.register(wakes.stop, timedelta(seconds=STOP_SECONDS))
    atexit.register(intake.stop, timedelta(seconds=STOP_SECONDS))
    return create_app(
        WebhookEndpoint(intake=intake, metrics=metrics, secrets=settings.webhook_secrets, livemode=settings.livemode),
        HealthEndpoints(
            connect=partial(connect, settings, application_name=f"{SERVICE}-health"),
            redis=redis,
            metrics=metrics,
            lock=threading.Lock(),
        ),
    )
