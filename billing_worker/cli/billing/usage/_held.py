"""How held usage is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing_worker.domains.usage.queries.held import HeldUsage


def held_row(held: HeldUsage) -> dict[str, object]:
    """Return one line of a table of held records."""
    user, metric, value, used_at, unique_key, _ = held.record
    facts = {"id": held.id, "user": user, "metric": metric, "value": value, "used_at": used_at}
    return facts | {"unique_key": unique_key, "source": held.source, "reason": held.reason.value, "detail": held.detail}
