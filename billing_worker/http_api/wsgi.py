"""Build the API of one process; a WSGI server calls `build` in its worker."""

from __future__ import annotations

import atexit
from datetime import timedelta

from flask import Flask

from billing_worker.http_api.app import create_app
from billing_worker.http_api.container import ApiContainer, build_api_container
from billing_worker.http_api.health import HealthEndpoints
from billing_worker.http_api.start_check import SERVICE
from billing_worker.http_api.usage import UsageEndpoints
from billing_worker.http_api.writer import UsageWriter
from billing_worker.runtime.logs import configure_logs
from billing_worker.runtime.settings import load_settings
from billing_worker.stack.bound import bind_to_parent

STOP_SECONDS = 2


def build() -> Flask:
    """Read the settings and build the application."""
    bind_to_parent("TERM")  # a worker whose server was killed would hold the port against the next one
    settings = load_settings()
    configure_logs(level=settings.billing_log_level, service=SERVICE)
    return build_app(build_api_container(settings))


def build_app(container: ApiContainer) -> Flask:
    """Build the application of a container: one line per noun."""
    settings, metrics = container.settings, container.metrics
    intake = UsageWriter(container).group_commit()
    metrics.watch("nself_usage_waiting_records", "Usage records that wait for a commit", lambda: intake.waiting)
    atexit.register(intake.stop, timedelta(seconds=STOP_SECONDS))
    return create_app(
        [
            UsageEndpoints(intake, metrics, keyless=settings.usage_allow_keyless),
        ],
        health=HealthEndpoints(container, concerns=dict),
        keys=settings.api_keys,
        metrics=metrics,
    )
