"""The whole rehearsal: the month driven, then held against Stripe's own record."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from billing_worker.app.installation import stripe_kind
from billing_worker.domains.reconciliation.rules import Scope
from billing_worker.domains.reconciliation.services.reconcile import reconcile
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.rehearsal.compare_mirror import compare_mirror
from billing_worker.rehearsal.driver import Driver
from billing_worker.rehearsal.metering import Meter
from billing_worker.rehearsal.month import Progress, RealStripeError, run_month
from billing_worker.rehearsal.shop import Shop
from billing_worker.rehearsal.shop_client import ShopClient
from billing_worker.rehearsal.story import DAYS
from billing_worker.rehearsal.summary import Summary, gather
from billing_worker.worker.beat import TICK_TASK
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import TICK


def rehearse(
    container: Container, probes: Sequence[Probe], *, days: int = DAYS, tell: Callable[[Progress], None]
) -> Summary:
    """Drive one month and judge it.

    Raises: RealStripeError against anything but the sandbox; RehearsalStuckError; ShopCallError.
    """
    settings = container.settings
    if stripe_kind(settings) != "sandbox":
        raise RealStripeError(
            f"a rehearsal moves time and lets cards fail, and STRIPE_API_BASE is {settings.stripe_api_base}: "
            "run it with STRIPE_MOCK_ENABLED=true"
        )
    client = ShopClient(settings.stripe_api_base, settings.stripe_secret_key.get_secret_value())
    shop = Shop(client, secrets.token_hex(3))
    driver = Driver(
        client,
        container.unit_of_work,
        probes,
        kick=lambda: container.waker.send(TICK_TASK, queue=TICK, kwargs={}),
    )
    metrics = load_metrics()
    meter = Meter(container.unit_of_work, shop, metrics, settings.billing_timezone)
    month = run_month(client, driver, shop, meter, days=days, tell=tell)
    # Some changes have no event at Stripe (an item that joins an invoice): only reconciliation brings them here. What
    # it finds beyond them, now that every delivery is out, was lost on the way.
    reconciled = reconcile(container.unit_of_work, container.stripe, scope=Scope(), started_by="rehearsal")
    driver.settle()
    with container.unit_of_work.transaction() as session:
        comparison = compare_mirror(session, client, Scope().types)
        return gather(
            session,
            client,
            month,
            metrics=metrics,
            zone=settings.billing_timezone,
            comparison=comparison,
            reconciled=reconciled,
        )
