"""Every slice's tasks and probes; importing this module fills the task registry.

A slice that cannot be imported stops every process at its start: a worker that silently lacks tasks loses work.
"""

from __future__ import annotations

from types import ModuleType

from billing_worker.domains.customers import tasks as customers
from billing_worker.domains.dunning import tasks as dunning
from billing_worker.domains.invoices import tasks as invoices
from billing_worker.domains.notifications import tasks as notifications
from billing_worker.domains.overage import tasks as overage
from billing_worker.domains.payments import tasks as payments
from billing_worker.domains.quotas import tasks as quotas
from billing_worker.domains.reconciliation import tasks as reconciliation
from billing_worker.domains.subscriptions import tasks as subscriptions
from billing_worker.domains.usage import tasks as usage
from billing_worker.inbox import tasks as inbox
from billing_worker.worker import maintenance
from billing_worker.worker.ledger import tasks as ledger
from billing_worker.worker.probes import Probe

TASK_MODULES: tuple[ModuleType, ...] = (
    maintenance,
    ledger,
    inbox,
    customers,
    subscriptions,
    payments,
    dunning,
    invoices,
    notifications,
    reconciliation,
    usage,
    quotas,
    overage,
)

PROBES: tuple[Probe, ...] = (
    *inbox.PROBES,
    *customers.PROBES,
    *subscriptions.PROBES,
    *payments.PROBES,
    *dunning.PROBES,
    *invoices.PROBES,
    *notifications.PROBES,
    *usage.PROBES,
    *quotas.PROBES,
    *overage.PROBES,
)
"""What the tick asks every second, in the order in which work is woken."""
