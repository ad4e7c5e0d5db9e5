"""Forget idempotency keys that nobody may use for a retry any more."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.queries import claims

KEEP_KEYS = timedelta(days=36)
"""A key is honoured for 35 days; the day more is for clocks, retries under way and a late run."""

_log = structlog.get_logger(__name__)


def prune_claims(unit_of_work: UnitOfWork, *, now: datetime, keep: timedelta = KEEP_KEYS) -> int:
    """Delete keys older than `keep`, and return how many.

    Phases: one transaction per stretch of blocks, so that recording never waits long.
    Idempotent by: what is deleted is gone; a pass that was cut short is made good by the next one.
    """
    before = now - keep
    deleted = 0
    for partition in range(claims.PARTITIONS):
        with unit_of_work.transaction() as session:
            blocks = claims.count_blocks(session, partition)
        for first_block in range(0, blocks, claims.BLOCKS_PER_STEP):
            with unit_of_work.transaction() as session:
                deleted += claims.delete_old_claims(session, partition, first_block=first_block, before=before)
    _log.info("usage_keys_pruned", deleted=deleted, before=before.isoformat())
    return deleted
