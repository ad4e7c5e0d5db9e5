"""Upkeep that belongs to no slice."""

from __future__ import annotations

from collections.abc import Mapping

from billing_worker.database.partitions import ensure_partitions
from billing_worker.worker.container import Container
from billing_worker.worker.queues import MAINTENANCE
from billing_worker.worker.tasks import task


@task("maintenance.ensure_partitions", queue=MAINTENANCE)
def ensure_month_partitions(container: Container) -> Mapping[str, object]:
    """Make the partitions of the coming months."""
    with container.unit_of_work.transaction() as session:
        made = ensure_partitions(session, container.unit_of_work.now())
    return {"made": made}
