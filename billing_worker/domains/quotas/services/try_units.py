"""Answer a check without granting anything."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.rules import check_units
from billing_worker.domains.quotas.services.settle_known_leases import LeaseNews
from billing_worker.domains.quotas.services.take_units import Taken, take_units
from billing_worker.domains.usage.rules import MetricCatalog


def try_units(
    session: Session,
    user_id: str,
    metric_type: str,
    units: int,
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    now: datetime,
) -> Taken:
    """Decide as a check would in PostgreSQL, and undo all of it.

    Raises: UnknownMetricError, InvalidQuotaError.
    """
    metrics.get(metric_type)
    check_units(units)
    savepoint = session.begin_nested()
    try:
        return take_units(
            session,
            user_id,
            metric_type,
            units,
            news=LeaseNews(),
            spender_id=None,
            metrics=metrics,
            zone=zone,
            enforcing=enforcing,
            now=now,
        )
    finally:
        savepoint.rollback()
