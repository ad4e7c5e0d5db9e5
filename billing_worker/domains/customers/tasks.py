"""Tasks of customers."""

from __future__ import annotations

from collections.abc import Mapping

from billing_worker.domains.customers.queries.links import count_marked_customers
from billing_worker.domains.customers.services.link_marked_customers import link_marked_customers
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import EFFECTS
from billing_worker.worker.tasks import task


@task("customers.link_users", queue=EFFECTS)
def link_users(container: Container) -> Mapping[str, object]:
    """Link new customers with the users that their metadata name."""
    return link_marked_customers(container.unit_of_work)


PROBES = (Probe("customer_users", "customers.link_users", EFFECTS, count_marked_customers),)
