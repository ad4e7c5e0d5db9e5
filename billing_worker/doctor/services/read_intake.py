"""Read how intake does: deliveries, rates, lag, what stopped, and the endpoint as Stripe has it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.doctor.endpoints import Endpoint, list_endpoints
from billing_worker.inbox.certificates import find_certified_until
from billing_worker.inbox.queries import InboxLag, read_lag
from billing_worker.inbox.reports import (
    Backlog,
    IntakeRates,
    TypeFailures,
    count_backlog,
    count_rates,
    find_last_delivery,
    list_type_failures,
)
from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.stripe_gateway.client import StripeGateway

WORST_TYPES = 10


@dataclass(frozen=True, slots=True)
class Intake:
    """How intake does.

    Shape: `endpoint_state` is a count, or “unknown: …” with the reason when Stripe cannot be asked.
    """

    last_delivery_at: datetime | None
    hour: IntakeRates
    day: IntakeRates
    lag: InboxLag
    backlog: Backlog
    failures: list[TypeFailures]
    endpoint_state: str
    endpoints: list[Endpoint]
    certified_until: datetime | None

    @property
    def needs_attention(self) -> bool:
        """Say whether events stopped or Stripe has no enabled endpoint."""
        disabled = bool(self.endpoints) and all(each.status != "enabled" for each in self.endpoints)
        return bool(self.failures) or disabled

    def as_facts(self) -> dict[str, object]:
        """Return everything as one object."""
        return asdict(self)

    def as_lines(self) -> dict[str, object]:
        """Return what people read, on one screen."""
        return {
            "last_delivery": self.last_delivery_at,
            "last_hour": _describe(self.hour),
            "last_24_hours": _describe(self.day),
            "pending": self.lag.pending,
            "oldest_pending": self.lag.oldest_pending_at,
            "waited_p50_ms": _round(self.lag.waited_p50_ms),
            "waited_p99_ms": _round(self.lag.waited_p99_ms),
            "failed": self.backlog.failed,
            "quarantined": self.backlog.quarantined,
            "parked_objects": self.backlog.parked,
            "certified_until": self.certified_until,
            "endpoints_at_stripe": self.endpoint_state,
        }


def read_intake(unit_of_work: UnitOfWork, gateway: StripeGateway) -> Intake:
    """Read the inbox, then ask Stripe for its endpoints; a Stripe that cannot be asked is told, not raised.

    Phases: one transaction; then the call.
    """
    now = unit_of_work.now()
    with unit_of_work.transaction() as session:
        last = find_last_delivery(session)
        hour = count_rates(session, now - timedelta(hours=1))
        day = count_rates(session, now - timedelta(days=1))
        lag = read_lag(session)
        backlog = count_backlog(session)
        failures = list_type_failures(session, limit=WORST_TYPES)
        certified = find_certified_until(session, "")
    endpoints: list[Endpoint] = []
    try:
        endpoints = list_endpoints(gateway)
        state = f"{len(endpoints)} registered" if endpoints else "none registered"
    except (RetryableError, TerminalError) as error:
        state = f"unknown: {error}"
    return Intake(last, hour, day, lag, backlog, failures, state, endpoints, certified)


def _round(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds)


def _describe(rates: IntakeRates) -> str:
    return (
        f"{rates.received} received, {rates.redelivered} again, {rates.applied} applied, {rates.pending} pending, "
        f"{rates.failed} failed, {rates.quarantined} quarantined"
    )
