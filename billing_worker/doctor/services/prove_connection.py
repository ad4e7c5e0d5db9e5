"""Prove that the database can be reached and used, one step after the other."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session

from billing_worker.database.engine import CONNECT_TIMEOUT_SECONDS, build_engine, psycopg2_url
from billing_worker.doctor.queries import find_revision
from billing_worker.doctor.schema import newest_revision
from billing_worker.kernel.errors import UnavailableError
from billing_worker.runtime.settings import Settings

DEFAULT_PORT = 5432


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what was tried, whether it went well, what was seen, what mends it."""

    step: str
    ok: bool
    detail: str
    mend: str = ""


class StepFailedError(UnavailableError):
    """A step failed; the later ones make no sense."""

    def __init__(self, detail: str, *, mend: str) -> None:
        super().__init__(detail)
        self.mend = mend


def prove_connection(settings: Settings) -> list[Step]:
    """Take the steps in order and return them up to the first that failed."""
    steps: list[Step] = []
    for name, take in _STEPS:
        try:
            steps.append(Step(name, ok=True, detail=take(settings)))
        except StepFailedError as error:
            return [*steps, Step(name, ok=False, detail=str(error), mend=error.mend)]
    return steps


def _read_url(settings: Settings) -> URL:
    return make_url(psycopg2_url(settings.database_url.get_secret_value()))


def _check_url(settings: Settings) -> str:
    if not settings.database_url.get_secret_value():
        raise StepFailedError("DATABASE_URL is not set", mend="nself start, or nself env set DATABASE_URL=…")
    try:
        url = _read_url(settings)
    except (ArgumentError, ValueError):
        example = "postgresql://billing:PASSWORD@db:5432/billing"
        raise StepFailedError("DATABASE_URL cannot be read", mend=f"write for example {example}") from None
    return url.render_as_string(hide_password=True).replace("+psycopg2", "")


def _reach_address(settings: Settings) -> str:
    url = _read_url(settings)
    if not url.host or url.host.startswith("/"):
        return "a unix socket"
    port = url.port or DEFAULT_PORT
    try:
        with socket.create_connection((url.host, port), timeout=CONNECT_TIMEOUT_SECONDS) as reached:
            return f"{reached.getpeername()[0]} port {port} accepts"
    except socket.gaierror as error:
        raise StepFailedError(f"{url.host}: {error.strerror}", mend="check the host's name and the DNS") from error
    except OSError as error:
        mend = "nself status, nself restart postgres; check firewalls if it runs elsewhere"
        raise StepFailedError(f"{url.host} port {port}: {error.strerror or error}", mend=mend) from error


def _connect(settings: Settings) -> str:
    facts = _ask(settings, "check user, password and database in DATABASE_URL", _read_identity)
    return f"as {facts}"


def _find_schema(settings: Settings) -> str:
    found = _ask(settings, "grant the role the right to use schema billing", find_revision)
    if found != newest_revision():
        detail = f"migration {found or 'none'}, this release needs {newest_revision()}"
        raise StepFailedError(detail, mend="python -m migrations upgrade")
    return f"migration {found}"


def _try_write(settings: Settings) -> str:
    _ask(settings, "connect to the primary, as a role that may write", _write_and_roll_back)
    return "a row was written and rolled back"


def _ask(settings: Settings, mend: str, question: Callable[[Session], str | None]) -> str | None:
    engine: Engine = build_engine(settings, application_name="nself", pool_size=1)
    try:
        with Session(engine) as session:
            return question(session)
    except DBAPIError as error:
        raise StepFailedError(str(error.orig).strip().partition("\n")[0], mend=mend) from error
    finally:
        engine.dispose()


def _read_identity(session: Session) -> str:
    user, database, version = session.execute(
        text("SELECT current_user, current_database(), current_setting('server_version')")
    ).one()
    return f"{user} in {database}, PostgreSQL {version}"


def _write_and_roll_back(session: Session) -> None:
    # Ended without a commit; a standby or a read-only role refuses it.
    session.execute(
        text(
            "INSERT INTO billing.billing_operator_actions (acted_at, actor, command, outcome) "
            "VALUES (clock_timestamp(), 'nself', 'db test-connection', 'started')"
        )
    )
    session.rollback()


_STEPS: tuple[tuple[str, Callable[[Settings], str]], ...] = (
    ("url", _check_url),
    ("address", _reach_address),
    ("connection", _connect),
    ("schema", _find_schema),
    ("write", _try_write),
)
