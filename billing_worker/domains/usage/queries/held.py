"""SQL of held records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.usage.rules import UsageRecord
from billing_worker.domains.usage.states import HeldReason

_COLUMNS = (
    "id, user_id, metric_type, value, created_at, unique_key, idempotency_key, recorded_at, source, reason, detail"
)


@dataclass(frozen=True, slots=True)
class HeldUsage:
    """One record that was taken in and does not count yet."""

    id: int
    record: UsageRecord
    recorded_at: datetime
    source: str
    reason: HeldReason
    detail: str


def list_held(session: Session, *, limit: int) -> list[HeldUsage]:
    """Return the oldest held records."""
    statement = text(f"SELECT {_COLUMNS} FROM billing.billing_usage_held ORDER BY id LIMIT :limit")  # noqa: S608 - constant
    return [_held(row) for row in session.execute(statement, {"limit": limit})]


def get_held(session: Session, ids: Sequence[int]) -> list[HeldUsage]:
    """Lock and return held records by id; those that are not there are left out."""
    statement = text(
        f"SELECT {_COLUMNS} FROM billing.billing_usage_held WHERE id = ANY(:ids) ORDER BY id FOR UPDATE"  # noqa: S608 - constant
    )
    return [_held(row) for row in session.execute(statement, {"ids": list(ids)})]


def count_held(session: Session) -> dict[str, int]:
    """Count held records by reason."""
    statement = text("SELECT reason, count(*) FROM billing.billing_usage_held GROUP BY reason ORDER BY reason")
    return {reason: int(count) for reason, count in session.execute(statement)}


def lock_held(session: Session, *, after: int, limit: int) -> list[HeldUsage]:
    """Take the next records that wait for their user or metric; others' are skipped.

    Order: by id.
    """
    statement = text(
        f"SELECT {_COLUMNS} FROM billing.billing_usage_held "  # noqa: S608 - constant
        "WHERE reason IN ('unknown_user', 'unknown_metric') AND id > :after "
        "ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED"
    )
    return [_held(row) for row in session.execute(statement, {"after": after, "limit": limit})]


def delete_held(session: Session, ids: Sequence[int]) -> int:
    """Forget held records and return how many there were."""
    statement = text("DELETE FROM billing.billing_usage_held WHERE id = ANY(:ids)")
    return session.connection().execute(statement, {"ids": list(ids)}).rowcount


def set_reason(session: Session, held_id: int, reason: HeldReason, detail: str) -> None:
    """Say why a record still waits."""
    statement = text("UPDATE billing.billing_usage_held SET reason = :reason, detail = :detail WHERE id = :id")
    session.execute(statement, {"id": held_id, "reason": reason.value, "detail": detail})


def _held(row: Sequence[object]) -> HeldUsage:
    number, user, metric, value, used_at, unique_key, key, recorded_at, source, reason, detail = row
    record = UsageRecord(user, metric, value, used_at, unique_key, key)  # type: ignore[arg-type] # a row's values
    return HeldUsage(number, record, recorded_at, source, HeldReason(reason), detail)  # type: ignore[arg-type] # as above
