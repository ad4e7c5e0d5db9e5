"""What must be right before the API serves, and what may come later."""

from __future__ import annotations

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from billing_worker.app.installation import fits_installation
from billing_worker.kernel.errors import InvalidValueError, RefusedError
from billing_worker.runtime.settings import Settings

SERVICE = "http_api"
NEEDED_SCHEMA = "0010"
"""The migration with everything the API reads and writes; later ones do not concern it."""

_log = structlog.get_logger(__name__)


def check_settings(settings: Settings) -> None:
    """Refuse to start without addresses; without keys it starts and lets nobody in.

    Raises: InvalidValueError.
    """
    if not settings.database_url.get_secret_value():
        raise InvalidValueError("DATABASE_URL is not set: write for example postgresql://billing@db/billing")
    if not settings.redis_url.get_secret_value():
        raise InvalidValueError("REDIS_URL is not set: write for example redis://redis:6379/0")
    if not settings.api_keys:
        _log.warning("http_api_without_keys", hint="every request is answered 401 until BILLING_API_KEYS is set")


def check_database(engine: Engine, settings: Settings) -> bool:
    """Compare the database with what this process is; False when it is away for now.

    Raises: RefusedError naming the difference and the command that mends it.
    """
    try:
        with Session(engine) as session:
            _check_schema(session)
            fits_installation(session, settings)
    except OperationalError as error:
        # Requests get 503 until it is back; the first one that reaches it checks again.
        _log.warning("http_api_without_database", error=" ".join(str(error.orig).split()))
        return False
    except DBAPIError as error:
        raise RefusedError(f"the database cannot be checked: {' '.join(str(error.orig).split())}") from error
    return True


def _check_schema(session: Session) -> None:
    if session.execute(text("SELECT to_regclass('billing.alembic_version')")).scalar_one() is None:
        raise RefusedError("the database has no schema billing yet: run python -m migrations upgrade")
    version = session.execute(text("SELECT max(version_num) FROM billing.alembic_version")).scalar_one()
    if version is None or version < NEEDED_SCHEMA:
        raise RefusedError(
            f"the schema is at {version or 'nothing'}, the API needs {NEEDED_SCHEMA}: run python -m migrations upgrade"
        )
