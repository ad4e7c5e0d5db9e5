"""Connect to the database this receiver was made for, and to no other (ARCHITECTURE §2.7)."""

from __future__ import annotations

import psycopg2
from psycopg2.extensions import connection as psycopg2_connection

from billing_worker.kernel.errors import RefusedError
from billing_worker.runtime.settings import Settings

NEEDED_SCHEMA = "0002"
"""The migration that made the inbox; later ones do not concern the receiver."""

CONNECT_TIMEOUT_SECONDS = 4
"""Below WEBHOOK_TIMEOUT's default of 5 s, so that an unreachable host is named as the reason."""


class WrongDatabaseError(RefusedError):
    """This database belongs to another installation or release."""


def connect(settings: Settings, *, application_name: str = "webhook_receiver") -> psycopg2_connection:
    """Open a checked connection in autocommit mode.

    Raises: psycopg2.OperationalError when PostgreSQL is away; WrongDatabaseError when it is not ours.
    """
    url = settings.database_url.get_secret_value().replace("postgresql+psycopg2://", "postgresql://", 1)
    connection = psycopg2.connect(
        url,
        application_name=application_name,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        # A peer that vanished without a word is noticed within 11 s instead of two hours.
        keepalives=1,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
    )
    try:
        connection.autocommit = True
        check(connection, livemode=settings.livemode)
    except BaseException:
        connection.close()
        raise
    return connection


def check(connection: psycopg2_connection, *, livemode: bool) -> None:
    """Compare schema and mode with what this process is.

    Raises: WrongDatabaseError naming the difference and the command that mends it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('billing.alembic_version') IS NOT NULL")
        if cursor.fetchone() != (True,):
            raise WrongDatabaseError("the database has no schema billing yet: run python -m migrations upgrade")
        cursor.execute("SELECT max(version_num) FROM billing.alembic_version")
        (version,) = cursor.fetchone() or (None,)
        if version is None or version < NEEDED_SCHEMA:
            raise WrongDatabaseError(
                f"the schema is at {version or 'nothing'}, the receiver needs {NEEDED_SCHEMA}: "
                "run python -m migrations upgrade"
            )
        cursor.execute("SELECT livemode FROM billing.billing_installation")
        row = cursor.fetchone()
    if row is not None and row[0] is not livemode:
        raise WrongDatabaseError(
            f"the database holds {_mode(livemode=row[0])} data but STRIPE_MODE={_mode(livemode=livemode)}: "
            f"use another DATABASE_URL or set STRIPE_MODE={_mode(livemode=row[0])}"
        )


def _mode(*, livemode: bool) -> str:
    return "live" if livemode else "test"
