"""Measure how fast PostgreSQL answers."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import text

from billing_worker.database.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Ping:
    """What a connection costs, and one statement on it."""

    connect_ms: float
    statement_ms: float


def ping_database(unit_of_work: UnitOfWork) -> Ping:
    """Open a connection and run one statement.

    Raises: OperationalError when PostgreSQL is away.
    """
    started = time.perf_counter()
    with unit_of_work.engine.connect() as connection:
        connected = time.perf_counter()
        connection.execute(text("SELECT 1"))
        answered = time.perf_counter()
    return Ping(round((connected - started) * 1000, 1), round((answered - connected) * 1000, 1))
