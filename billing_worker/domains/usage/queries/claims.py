"""SQL of forgetting idempotency keys, block by block."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from sqlalchemy import text
from sqlalchemy.orm import Session

PARTITIONS = 8
BLOCKS_PER_STEP = 2_000
"""Sixteen megabytes of keys: a step stays well under a second, and its locks are short."""


def count_blocks(session: Session, partition: int) -> int:
    """Return how many blocks a partition of the keys has."""
    statement = text("SELECT pg_relation_size(CAST(:name AS regclass)) / current_setting('block_size')::bigint")
    return cast("int", session.execute(statement, {"name": _name(partition)}).scalar_one())


def delete_old_claims(session: Session, partition: int, *, first_block: int, before: datetime) -> int:
    """Delete the keys of some blocks that were first seen before a time, and return how many.

    Order: by place, so that a whole pass reads every block once and needs no index on the time.
    """
    statement = text(
        f"DELETE FROM {_name(partition)} WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:end AS tid) "  # noqa: S608 - a constant and a number
        "AND first_seen_at < :before"
    )
    span = {"first": f"({first_block},0)", "end": f"({first_block + BLOCKS_PER_STEP},0)"}
    return session.connection().execute(statement, span | {"before": before}).rowcount


def _name(partition: int) -> str:
    return f"billing.billing_usage_claims_{partition:d}"
