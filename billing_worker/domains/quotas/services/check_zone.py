"""Guard the zone that days and months are cut in."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.errors import OtherZoneError
from billing_worker.domains.quotas.queries.zones import adopt_zone


def check_zone(session: Session, zone: ZoneInfo) -> None:
    """Refuse BILLING_TIMEZONE to change once days were cut by it: rollups and periods of two zones would overlap.

    Shape: while there is neither usage nor quota the zone may change, and is kept.
    Raises: OtherZoneError.
    """
    kept = adopt_zone(session, zone.key)
    if kept != zone.key:
        raise OtherZoneError(kept, zone.key)
