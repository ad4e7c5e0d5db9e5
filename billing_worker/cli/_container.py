"""What commands work with, built from the invocation's environment and closed at the end of the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from billing_worker.cli._invocation import Invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.kernel.errors import UnavailableError

if TYPE_CHECKING:
    from billing_worker.app import container as composition
    from billing_worker.database import clock, engine, unit_of_work
    from billing_worker.database.unit_of_work import UnitOfWork
    from billing_worker.runtime import logs, settings
    from billing_worker.runtime.settings import Settings
    from billing_worker.worker.container import Container
else:
    composition = lazy_module("billing_worker.app.container")
    clock, engine, unit_of_work = (
        lazy_module(f"billing_worker.database.{name}") for name in ("clock", "engine", "unit_of_work")
    )
    logs, settings = (lazy_module(f"billing_worker.runtime.{name}") for name in ("logs", "settings"))


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


def _require(name: str, value: str) -> None:
    if not value:
        raise NotConfiguredError(f"{name} is not set: `nself start` runs everything here, or `nself env set {name}=…`")
