"""Tasks of reconciliation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from billing_worker.domains.reconciliation.errors import ReconciliationBusyError
from billing_worker.domains.reconciliation.rules import Scope
from billing_worker.domains.reconciliation.services.reconcile import reconcile
from billing_worker.stripe_gateway.priority import Priority
from billing_worker.worker.container import Container
from billing_worker.worker.queues import RECONCILIATION
from billing_worker.worker.tasks import task


@task("reconciliation.reconcile", queue=RECONCILIATION, soft_limit_seconds=3300, hard_limit_seconds=3400)
def reconcile_all(container: Container, *, due_at: str = "") -> Mapping[str, object]:
    """Compare the whole mirror with Stripe, or go on with the comparison that was left incomplete."""
    if not container.settings.billing_auto_sync:
        return {"skipped": "BILLING_AUTO_SYNC=false"}
    gateway = container.stripe.on_behalf_of(Priority.RECONCILIATION)
    started_by = f"schedule {due_at}".strip()
    try:
        ended = reconcile(container.unit_of_work, gateway, scope=Scope(), started_by=started_by)
    except ReconciliationBusyError as error:
        # An operator's run, which compares the same.
        return {"skipped": str(error)}
    return asdict(ended)
