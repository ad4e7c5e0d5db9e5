"""SQL of records that were lost: which are there, whose keys are known, and writing them under their own ids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.copy import copy_rows

_COLUMNS = ("id", "batch_id", "user_id", "metric_type", "value", "unique_key", "created_at", "recorded_at")


def find_present(session: Session, keys: Sequence[tuple[int, datetime]]) -> set[tuple[int, datetime]]:
    """Return which records, by id and instant, the database has."""
    statement = text(
        "SELECT u.id, u.created_at FROM billing.billing_usage u "
        "JOIN unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS k (id, created_at) "
        "ON (u.id, u.created_at) = (k.id, k.created_at)"
    )
    parameters = {"ids": [number for number, _ in keys], "times": [used_at for _, used_at in keys]}
    return {(number, used_at) for number, used_at in session.execute(statement, parameters)}


def find_claim_owners(session: Session, digests: Sequence[str]) -> dict[str, int]:
    """Return which batch claimed each idempotency key."""
    statement = text(
        "SELECT CAST(digest AS text), batch_id FROM billing.billing_usage_claims "
        "WHERE digest = ANY(CAST(:digests AS uuid[]))"
    )
    rows = session.execute(statement, {"digests": list(digests)})
    return {digest.replace("-", ""): batch_id for digest, batch_id in rows}


def insert_lost(session: Session, rows: Sequence[Sequence[object]]) -> None:
    """Write records under the ids they had; ids of records to come lie beyond them."""
    copy_rows(session, "billing_usage", _COLUMNS, rows)
    statement = text(
        "SELECT setval('billing.billing_usage_id_seq', "
        "greatest(:highest, (SELECT last_value FROM billing.billing_usage_id_seq)))"
    )
    session.execute(statement, {"highest": max(int(str(row[0])) for row in rows)})
