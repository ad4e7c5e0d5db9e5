"""Build the receiver of one process: `build` for any WSGI server, `build_front` for granian's RSGI."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from flask import Flask
from redis import Redis

from billing_worker.database.group_commit import GroupReport
from billing_worker.inbox.delivery_writer import Connect, Intake, open_intake
from billing_worker.inbox.lane_wakes import LaneWakes
from billing_worker.inbox.states import EventStatus
from billing_worker.runtime.logs import LineLog, configure_logs
from billing_worker.runtime.settings import Settings, load_settings
from billing_worker.stack.bound import bind_to_parent
from billing_worker.worker.wake import SOCKET_SECONDS, Waker
from webhook_receiver.allow_list import AllowList
from webhook_receiver.app import create_app
from webhook_receiver.bodies import Bodies
from webhook_receiver.callers import Callers
from webhook_receiver.front import Front
from webhook_receiver.health import HealthEndpoints
from webhook_receiver.metrics import IntakeMetrics
from webhook_receiver.secret_use import SecretUse
from webhook_receiver.start_check import connect
from webhook_receiver.stripe_webhook import WebhookEndpoint

SERVICE = "webhook_receiver"
STOP_SECONDS = 2


@dataclass(frozen=True)
class Receiver:
    """The parts of one receiver process."""

    app: Flask
    endpoint: WebhookEndpoint
    metrics: IntakeMetrics
    stop: Callable[[], None]


def build() -> Flask:
    """Read the settings and build the application for a server that gives each request a thread."""
    receiver = assemble(_start())
    # Answers are out by now; a server that skips this loses a wake-up at most, which rescue makes good in a second.
    atexit.register(receiver.stop)
    return receiver.app


def build_front() -> Front:
    """Read the settings and build the application for granian."""
    receiver = assemble(_start(), later=_soon)
    bodies = Bodies()
    receiver.metrics.watch_reading(lambda: bodies.reading)
    return Front(receiver.app, receiver.endpoint, bodies, on_stop=receiver.stop)


def _start() -> Settings:
    bind_to_parent("TERM")  # a worker whose server was killed would hold the port against the next one
    settings = load_settings()
    configure_logs(level=settings.billing_log_level, service=SERVICE)
    return settings


def _soon(flush: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(flush)


def assemble(settings: Settings, *, later: Callable[[Callable[[], None]], object] | None = None) -> Receiver:
    """Put the parts together from settings."""
    metrics = IntakeMetrics()
    redis = Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
    )
    wakes = LaneWakes(
        Waker(settings.broker_url, redis, webhook_queues=settings.billing_webhook_queues), on_wake=metrics.count_wake
    )
    intake = _build_intake(settings, metrics, wakes)
    secret_use = SecretUse(_connecting(settings, "secrets"), secrets=settings.webhook_secrets)
    allow_list = AllowList(_connecting(settings, "addresses")) if settings.stripe_enable_ip_whitelist else None
    endpoint = WebhookEndpoint(
        intake=intake,
        metrics=metrics,
        secrets=settings.webhook_secrets,
        secret_use=secret_use,
        callers=Callers(trusted_hops=settings.billing_trusted_hops, allowed=allow_list),
        lines=LineLog(SERVICE, later=later),
        livemode=settings.livemode,
    )
    health = HealthEndpoints(_connecting(settings, "health"), redis=redis, metrics=metrics, lock=threading.Lock())

    def stop() -> None:
        if allow_list is not None:
            allow_list.stop()
        for part in (intake, wakes, secret_use):
            part.stop(timedelta(seconds=STOP_SECONDS))

    return Receiver(create_app(endpoint, health), endpoint, metrics, stop)


def _build_intake(settings: Settings, metrics: IntakeMetrics, wakes: LaneWakes) -> Intake:
    def after_group(report: GroupReport) -> None:
        metrics.count_group(report)
        for row in dict.fromkeys(report.results):
            if row.status is EventStatus.PENDING:
                wakes.add(row.lane, woken_by=f"{row.key.event_id} {row.type}")

    intake = open_intake(partial(connect, settings), timeout=settings.webhook_timeout, on_group=after_group)
    metrics.watch_waiting(lambda: intake.waiting)
    return intake


def _connecting(settings: Settings, purpose: str) -> Connect:
    return partial(connect, settings, application_name=f"{SERVICE}-{purpose}")
