"""Conflicts between transactions: nobody's fault, so they count for nobody and are tried again at once."""

from __future__ import annotations

from psycopg2 import errors as postgres
from sqlalchemy.exc import DBAPIError


def is_conflict(error: BaseException) -> bool:
    """Say whether PostgreSQL ended a transaction for the sake of another one."""
    return isinstance(error, DBAPIError) and isinstance(
        error.orig, postgres.DeadlockDetected | postgres.SerializationFailure
    )
