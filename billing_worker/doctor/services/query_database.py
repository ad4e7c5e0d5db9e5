"""Run what a person wrote in SQL: read-only, or written with money tables watched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg2
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.doctor.statements import (
    CURSOR_READING,
    MONEY_TABLES,
    Statement,
    UnsafeStatementError,
    changes_money,
    check_allowed,
    split_statements,
)
from billing_worker.kernel.errors import BillingError, InvalidValueError, TerminalError, UnavailableError

LOCK_TIMEOUT = "5s"
"""A statement that waits for a table's lock makes every later user of the table wait behind it."""


@dataclass(frozen=True, slots=True)
class StatementResult:
    """What one statement gave.

    Shape: rows by unique column names; `affected` is None for statements that return rows. `is_cut` says that the
    limit was reached.
    """

    verb: str
    columns: tuple[str, ...] = ()
    rows: list[dict[str, object]] = field(default_factory=list)
    affected: int | None = None
    is_cut: bool = False


def query_database(unit_of_work: UnitOfWork, sql: str, *, limit: int, write: bool) -> list[StatementResult]:
    """Run statements in one transaction, all or none.

    Phases: one transaction: read-only without `write`; with it, rolled back when a money table was changed by
    whatever way, which its locks tell.
    Raises: UnsafeStatementError, InvalidValueError (the statement is wrong), UnavailableError (a limit was met).
    """
    statements = split_statements(sql)
    check_allowed(statements, write=write)
    try:
        with unit_of_work.transaction() as session:
            _restrict(session, write=write)
            watched = _find_tables(session) if write else {}
            results = [_run(session.connection(), each, limit, write=write) for each in statements]
            if write:
                _refuse_touched(session, watched)
    except DBAPIError as error:
        explained = _explain(error)
        if explained is None:
            raise
        raise explained from error
    return results


def _restrict(session: Session, *, write: bool) -> None:
    session.execute(text("SELECT set_config('lock_timeout', :limit, true)"), {"limit": LOCK_TIMEOUT})
    if not write:
        session.execute(text("SET TRANSACTION READ ONLY"))


def _run(connection: Connection, statement: Statement, limit: int, *, write: bool) -> StatementResult:
    options: dict[str, Any] = {"no_parameters": True}
    if statement.verb in CURSOR_READING and not write:  # a cursor takes no WITH that changes rows
        options |= {"stream_results": True, "max_row_buffer": limit + 1}
    with connection.exec_driver_sql(statement.sql, execution_options=options) as result:
        if not result.returns_rows:
            return StatementResult(statement.verb, affected=max(result.rowcount, 0))
        names = _unique(list(result.keys()))
        rows = [dict(zip(names, map(_plain, row), strict=True)) for row in result.fetchmany(limit + 1)]
    return StatementResult(statement.verb, tuple(names), rows[:limit], is_cut=len(rows) > limit)


def _unique(names: list[str]) -> list[str]:
    return [name if names.index(name) == at else f"{name}_{at + 1}" for at, name in enumerate(names)]


def _plain(value: object) -> object:
    return f"\\x{value.hex()}" if isinstance(value, memoryview | bytes) else value


def _find_tables(session: Session) -> dict[int, str]:
    rows = session.execute(
        text("SELECT oid::bigint, relname FROM pg_class WHERE oid = ANY(CAST(:names AS regclass[]))"),
        {"names": [f"billing.{name}" for name in MONEY_TABLES]},
    )
    return {row.oid: row.relname for row in rows}


def _refuse_touched(session: Session, watched: dict[int, str]) -> None:
    # Every change of rows holds RowExclusiveLock or more on its table until the end of the transaction, whichever
    # function, trigger, cascade or dynamic statement made it; reading and referencing hold less.
    touched = session.execute(
        text(
            "SELECT relation::bigint FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' "
            "AND relation::bigint = ANY(:watched) AND mode IN "
            "('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') LIMIT 1"
        ),
        {"watched": list(watched)},
    ).scalar_one_or_none()
    if touched is not None:
        raise changes_money(watched[touched])


_EXPLAINED: tuple[tuple[str, type[BillingError], str], ...] = (
    ("25006", UnsafeStatementError, "it changes the database; if that is meant, add --write --reason TEXT"),
    ("0A000", UnsafeStatementError, "if it is meant to change the database, add --write --reason TEXT"),
    ("42P11", UnsafeStatementError, "if it is meant to change the database, add --write --reason TEXT"),
    ("25001", UnsafeStatementError, "each call is one transaction; use psql on the direct connection"),
    ("42501", UnsafeStatementError, "the role in DATABASE_URL may not"),
    ("57014", UnavailableError, "add conditions, or allow this call more: DB_QUERY_TIMEOUT=5m nself db query …"),
    ("55P03", UnavailableError, "somebody holds the table; try again when `nself db status` shows no waiting locks"),
    ("42", InvalidValueError, ""),
    ("22", InvalidValueError, ""),
)
"""PostgreSQL's codes or their classes, first match wins; anything else is a failure of the statement."""


def _explain(error: DBAPIError) -> BillingError | None:
    """Turn PostgreSQL's complaint about the statement into ours; None when it is not about the statement."""
    if error.connection_invalidated or not isinstance(error.orig, psycopg2.Error) or not error.orig.pgcode:
        return None
    # Not the whole text: it would quote the statement as it was sent, inside a cursor's declaration.
    said = ". ".join(filter(None, (error.orig.diag.message_primary, error.orig.diag.message_hint)))
    for code, family, hint in _EXPLAINED:
        if error.orig.pgcode.startswith(code):
            return family(f"{said}: {hint}" if hint else said)
    return TerminalError(said)
