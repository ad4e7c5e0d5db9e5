"""Tasks of overage."""

from __future__ import annotations

from collections.abc import Mapping

from billing_worker.domains.overage.queries.overages import count_due_rows
from billing_worker.domains.overage.queries.periods import count_due_periods
from billing_worker.domains.overage.services.bill_due_overages import Biller, bill_due_overages
from billing_worker.domains.overage.services.compute_due_overages import compute_due_overages
from billing_worker.domains.overage.services.load_overage_file import load_overage_file
from billing_worker.domains.overage.services.read_price_book import read_price_book
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.inbox.services.write_through import write_through
from billing_worker.stripe_gateway.priority import Priority
from billing_worker.switches.board import SwitchBoard
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import PAYMENTS, QUOTAS
from billing_worker.worker.tasks import task

COMPUTE_DUE = "overage.compute_due"
BILL_DUE = "overage.bill_due"


@task(COMPUTE_DUE, queue=QUOTAS, soft_limit_seconds=240, hard_limit_seconds=300)
def compute_due(container: Container) -> Mapping[str, object]:
    """Price the quota periods that ended beyond their limit, and what came late to those priced before.

    Idempotent by: one key per user, metric, period start and adjustment.
    """
    written = load_overage_file(container.settings.billing_overage_file)
    book = read_price_book(container.unit_of_work, container.stripe.on_behalf_of(Priority.PAYMENTS), written)
    zone = container.settings.billing_timezone
    return compute_due_overages(container.unit_of_work, book, metrics=load_metrics(), zone=zone)


@task(BILL_DUE, queue=PAYMENTS, soft_limit_seconds=300, hard_limit_seconds=360)
def bill_due(container: Container) -> Mapping[str, object]:
    """Make invoice items of computed overage.

    Idempotent by: each row's intent.
    """
    biller = Biller(
        gateway=container.stripe.on_behalf_of(Priority.PAYMENTS),
        board=SwitchBoard(container.settings),
        sink=write_through,
        minimum_minor=container.settings.billing_minimum_charge,
    )
    return bill_due_overages(container.unit_of_work, biller)


PROBES: tuple[Probe, ...] = (
    Probe("due_overages", COMPUTE_DUE, QUOTAS, count_due_periods),
    Probe("unbilled_overages", BILL_DUE, PAYMENTS, count_due_rows),
)
