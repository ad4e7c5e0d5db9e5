"""Build the API of one process; a WSGI server calls `build` in its worker."""

from __future__ import annotations

import atexit
from collections.abc import Iterable
from datetime import timedelta

from flask import Flask

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.gate import QuotaGate
from billing_worker.domains.quotas.lease_store import LeaseStore, connect
from billing_worker.domains.usage.buffer import UsageBuffer
from billing_worker.domains.usage.states import Unknown
from billing_worker.http_api.app import Endpoints, create_app
from billing_worker.http_api.buffered import BillingTime, BufferedIntake
from billing_worker.http_api.container import ApiContainer, build_api_container
from billing_worker.http_api.health import HealthEndpoints
from billing_worker.http_api.quotas import LeaseReporter, QuotaEndpoints
from billing_worker.http_api.start_check import SERVICE
from billing_worker.http_api.usage import UsageEndpoints
from billing_worker.http_api.writer import UsageWriter
from billing_worker.runtime.logs import configure_logs
from billing_worker.runtime.settings import load_settings
from billing_worker.stack.bound import bind_to_parent

STOP_SECONDS = 2


def build() -> Flask:
    """Read the settings and build the application: one line per noun."""
    bind_to_parent("TERM")  # a worker whose server was killed would hold the port against the next one
    settings = load_settings()
    configure_logs(level=settings.billing_log_level, service=SERVICE)
    container = build_api_container(settings)
    return build_app(container, [usage_endpoints(container), quota_endpoints(container)])


def build_app(container: ApiContainer, nouns: Iterable[Endpoints]) -> Flask:
    """Put the application of a container together."""
    return create_app(
        nouns,
        health=HealthEndpoints(container, concerns=dict),
        keys=container.settings.api_keys,
        metrics=container.metrics,
    )


def usage_endpoints(container: ApiContainer) -> UsageEndpoints:
    """Build the ways in for usage, with their writer."""
    settings, metrics = container.settings, container.metrics
    intake = UsageWriter(container).group_commit()
    metrics.watch("nself_usage_waiting_records", "Usage records that wait for a commit", lambda: intake.waiting)
    atexit.register(intake.stop, timedelta(seconds=STOP_SECONDS))
    buffered = _buffered_intake(container) if settings.usage_enable_buffer else None
    return UsageEndpoints(intake, metrics, keyless=settings.usage_allow_keyless, buffered=buffered)


def _buffered_intake(container: ApiContainer) -> BufferedIntake:
    settings = container.settings
    return BufferedIntake(
        UsageBuffer(container.redis, capacity=settings.usage_buffer_size),
        container.waker,
        container.catalog,
        Unknown(settings.usage_unknown),
        BillingTime(container.unit_of_work),
    )


def quota_endpoints(container: ApiContainer) -> QuotaEndpoints:
    """Build the questions about quotas, with the thread that reports what was granted."""
    settings = container.settings
    patience = UnitOfWork(
        container.engine, container.unit_of_work.clock, statement_timeout=settings.billing_api_timeout
    )
    gate = QuotaGate(
        patience,
        LeaseStore(connect(settings.redis_url.get_secret_value())),
        metrics=container.catalog,
        zone=settings.billing_timezone,
        enforcing=settings.quota_enforcement_enabled,
    )
    reporter = LeaseReporter(gate)
    reporter.start()
    atexit.register(reporter.stop)
    return QuotaEndpoints(gate, patience, container.metrics, enforcing=settings.quota_enforcement_enabled)
