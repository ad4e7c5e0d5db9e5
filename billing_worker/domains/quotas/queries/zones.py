"""SQL of the zone a database was cut in."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session


def adopt_zone(session: Session, name: str) -> str:
    """Keep the first zone, or another one while nothing was cut by the last; return the zone that counts.

    Shape: an installation that is not bound to its account yet keeps none, so any zone is right.
    """
    kept = session.execute(text("SELECT billing_timezone FROM billing.billing_installation WHERE id = 1")).one_or_none()
    if kept is None or kept[0] == name:
        return name
    if kept[0] is not None:
        in_use = session.execute(
            text(
                "SELECT EXISTS (SELECT 1 FROM billing.billing_usage_batches) "
                "OR EXISTS (SELECT 1 FROM billing.billing_quota_periods)"
            )
        ).scalar_one()
        if in_use:
            return str(kept[0])
    session.execute(
        text("UPDATE billing.billing_installation SET billing_timezone = :name WHERE id = 1"), {"name": name}
    )
    return name
