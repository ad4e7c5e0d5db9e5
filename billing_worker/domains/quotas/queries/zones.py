"""SQL of the zone a database was cut in."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session


def adopt_zone(session: Session, name: str) -> str:
    """Keep the first zone, or another one while nothing was cut by the last; return the zone that counts.

    Shape: an installation that is not bound to its account yet keeps none, so any zone is right.
    """
    read = text("SELECT billing_timezone FROM billing.billing_installation WHERE id = 1")
    kept = session.execute(read).one_or_none()
    if kept is None or kept[0] == name:
        return name
    if kept[0] is not None and _is_in_use(session):
        return str(kept[0])
    # another process may be as quick: the second one finds no row of that kind any more, and reads what the first kept
    session.execute(
        text(
            "UPDATE billing.billing_installation SET billing_timezone = :name "
            "WHERE id = 1 AND billing_timezone IS NOT DISTINCT FROM :before"
        ),
        {"name": name, "before": kept[0]},
    )
    return str(session.execute(read).scalar_one())


def _is_in_use(session: Session) -> bool:
    statement = text(
        "SELECT EXISTS (SELECT 1 FROM billing.billing_usage_batches) "
        "OR EXISTS (SELECT 1 FROM billing.billing_quota_periods)"
    )
    return bool(session.execute(statement).scalar_one())
