"""Tasks of subscriptions."""

from __future__ import annotations

from collections.abc import Mapping

from billing_worker.domains.subscriptions.queries import count_marked_customers
from billing_worker.domains.subscriptions.services.recompute_access import recompute_access
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import EFFECTS
from billing_worker.worker.tasks import task


@task("subscriptions.recompute_access", queue=EFFECTS)
def recompute(container: Container) -> Mapping[str, object]:
    """Compute the access of customers whose subscriptions changed."""
    return {"computed": recompute_access(container.unit_of_work)}


PROBES = (Probe("customer_access", "subscriptions.recompute_access", EFFECTS, count_marked_customers),)
