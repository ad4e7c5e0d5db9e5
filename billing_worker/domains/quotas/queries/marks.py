"""SQL of the marks that aggregation leaves where usage has changed."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.quotas.rules import QuotaMark
from billing_worker.domains.usage.queries.rollups import DIRTY_KIND
from billing_worker.kernel.clock import from_unix


def claim_usage_marks(session: Session, *, limit: int) -> list[QuotaMark]:
    """Take marks away, each user and metric once, with the earliest second touched.

    Order: marks are insert-only, so one left by a transaction that is not visible yet stays for the next round.
    """
    statement = text(
        "DELETE FROM billing.billing_dirty_marks WHERE id IN (SELECT id FROM billing.billing_dirty_marks "
        "WHERE kind = :kind ORDER BY account_id, subject_id, id LIMIT :limit FOR UPDATE SKIP LOCKED) "
        "RETURNING subject_id"
    )
    earliest: dict[tuple[str, str], datetime] = {}
    for subject_id in session.execute(statement, {"kind": DIRTY_KIND, "limit": limit}).scalars():
        metric_type, second, user_id = subject_id.split("/", 2)
        since = from_unix(int(second))
        earliest[user_id, metric_type] = min(since, earliest.get((user_id, metric_type), since))
    return [QuotaMark(user, metric, since.astimezone(UTC)) for (user, metric), since in sorted(earliest.items())]


def count_usage_marks(session: Session, *, limit: int) -> int:
    """Count marks that wait, up to a limit."""
    statement = text(
        "SELECT count(*) FROM (SELECT 1 FROM billing.billing_dirty_marks WHERE kind = :kind LIMIT :limit) AS waiting"
    )
    return int(session.execute(statement, {"kind": DIRTY_KIND, "limit": limit}).scalar_one())
