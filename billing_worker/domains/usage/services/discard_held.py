"""Discard held usage that will never count."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.usage.errors import HeldUsageNotFoundError
from billing_worker.domains.usage.queries import held as queries
from billing_worker.domains.usage.queries.held import HeldUsage

_log = structlog.get_logger(__name__)


def discard_held(session: Session, ids: Sequence[int], *, reason: str) -> list[HeldUsage]:
    """Forget held records, log what they said, and return them; their keys stay used.

    Raises: HeldUsageNotFoundError naming the first that is not held.
    """
    found = queries.get_held(session, ids)
    missing = [number for number in ids if number not in {one.id for one in found}]
    if missing:
        raise HeldUsageNotFoundError(missing[0])
    queries.delete_held(session, ids)
    for one in found:
        user, metric, value, used_at, unique_key, _ = one.record
        _log.warning(
            "usage_discarded",
            held_id=one.id,
            user_id=user,
            metric=metric,
            value=value,
            used_at=str(used_at),
            unique_key=unique_key,
            reason=reason,
        )
    return found
