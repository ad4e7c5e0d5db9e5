"""What commands work with, built from the invocation's environment and closed at the end of the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from billing_worker.cli._invocation import Invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.kernel.errors import InvalidValueError, UnavailableError

if TYPE_CHECKING:
    from billing_worker.app import container as composition
    from billing_worker.database import clock, engine, unit_of_work
    from billing_worker.database.unit_of_work import UnitOfWork
    from billing_worker.doctor import findings
    from billing_worker.doctor.findings import Subject
    from billing_worker.runtime import logs, settings
    from billing_worker.runtime.settings import Settings
    from billing_worker.stripe_gateway import client
    from billing_worker.worker.container import Container
else:
    composition = lazy_module("billing_worker.app.container")
    clock, engine, unit_of_work = (
        lazy_module(f"billing_worker.database.{name}") for name in ("clock", "engine", "unit_of_work")
    )
    client = lazy_module("billing_worker.stripe_gateway.client")
    findings = lazy_module("billing_worker.doctor.findings")
    logs, settings = (lazy_module(f"billing_worker.runtime.{name}") for name in ("logs", "settings"))


URLS = {
    "DATABASE_URL": (
        ("postgresql://", "postgres://", "postgresql+psycopg2://"),
        "postgresql://billing:PASSWORD@db:5432/billing",
    ),
    "REDIS_URL": (("redis://", "rediss://", "unix://"), "redis://:PASSWORD@cache:6379/0"),
}
"""How an address begins, and a right one."""


class NotConfiguredError(UnavailableError):
    """A part that the command needs is not configured."""


def load_command_settings(invocation: Invocation) -> Settings:
    """Read the settings and send log lines to stderr, where they do not mix with data.

    Shape: routine lines are left out unless BILLING_LOG_LEVEL=debug asks for everything.
    """
    loaded = settings.load_settings(invocation.environ)
    logs.configure_logs(level="debug" if loaded.billing_log_level == "debug" else "warning", service="cli")
    return loaded


@contextmanager
def open_container(invocation: Invocation) -> Iterator[Container]:
    """Give a command that changes something the whole container, checked against the installation.

    Raises: NotConfiguredError; OtherInstallationError; DBAPIError when the database is away.
    """
    loaded = load_command_settings(invocation)
    _require("DATABASE_URL", loaded.database_url.get_secret_value())
    _require("REDIS_URL", loaded.redis_url.get_secret_value())
    built = composition.build_container(loaded)
    try:
        yield built
    finally:
        built.redis.close()
        built.engine.dispose()


@contextmanager
def open_unit_of_work(invocation: Invocation) -> Iterator[UnitOfWork]:
    """Give a command that only reads rows the database alone: it works while Redis and Stripe are away.

    Raises: NotConfiguredError.
    """
    loaded = load_command_settings(invocation)
    _require("DATABASE_URL", loaded.database_url.get_secret_value())
    built = engine.build_engine(loaded, application_name="nself", pool_size=2)
    try:
        yield unit_of_work.UnitOfWork(built, clock.DatabaseClock(built), statement_timeout=loaded.db_query_timeout)
    finally:
        built.dispose()


@contextmanager
def open_subject(invocation: Invocation) -> Iterator[Subject]:
    """Give a command that looks for what is wrong everything it may examine, connected to nothing yet.

    Raises: NotConfiguredError.
    """
    loaded = load_command_settings(invocation)
    with open_unit_of_work(invocation) as unit_of_work:
        impatient = loaded.model_copy(update={"stripe_max_retries": 0})
        yield findings.Subject(loaded, unit_of_work, client.StripeGateway(impatient))


def _require(name: str, url: str) -> None:
    if not url:
        raise NotConfiguredError(f"{name} is not set: `nself start` runs everything here, or `nself env set {name}=…`")
    schemes, example = URLS[name]
    if not url.startswith(schemes):
        raise InvalidValueError(f"{name} is no address of such a server; write for example {example}")
