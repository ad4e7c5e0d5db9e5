"""Engines that work behind pgbouncer in transaction mode: no session state, psycopg2, UTC."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from billing_worker.runtime.settings import Settings

CONNECT_TIMEOUT_SECONDS = 5
"""A database that does not accept within five seconds counts as unreachable: Stripe gets its 503 in time."""


def psycopg2_url(url: str) -> str:
    """Name the driver: SQLAlchemy 2.1 reads a bare `postgresql://` as psycopg 3."""
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg2://" + url.removeprefix(scheme)
    return url


def build_engine(settings: Settings, *, application_name: str, pool_size: int | None = None) -> Engine:
    """Build the process's engine.

    Source: ARCHITECTURE §6, “works behind pgbouncer”: time-outs are set per transaction, not per session.
    """
    engine = create_engine(
        psycopg2_url(settings.database_url.get_secret_value()),
        pool_size=pool_size or settings.billing_db_pool_size,
        max_overflow=0,
        pool_timeout=settings.billing_db_pool_timeout.total_seconds(),
        pool_pre_ping=True,
        pool_use_lifo=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": application_name},
    )
    event.listen(engine, "connect", _no_server_side_autocommit_surprises)
    return engine


def _no_server_side_autocommit_surprises(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Leave autocommit off explicitly, whatever a pooler or a driver default says."""
    connection.autocommit = False
