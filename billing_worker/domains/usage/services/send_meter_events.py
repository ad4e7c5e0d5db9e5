"""Tell Stripe's meters what the journal holds, each event once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.queries import meters
from billing_worker.domains.usage.queries.meters import JournalEntry
from billing_worker.domains.usage.services.read_meter_total import read_meter_total
from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.kernel.periods import Period
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.stripe_gateway.errors import RateLimited, StripeKeyRejected, StripeRefused, StripeUnavailable
from billing_worker.stripe_gateway.operations import operation_named
from billing_worker.stripe_gateway.priority import Priority

IDENTIFIER_LIFETIME = timedelta(hours=23)
"""Stripe keeps an identifier unique for at least 24 hours (STRIPE.md, “Limits”); one hour is left for slow clocks."""

LEASE_MARGIN = timedelta(seconds=30)
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)

CREATE = operation_named("billing.meter_events.create")
ADJUST = operation_named("billing.meter_event_adjustments.create")

_log = structlog.get_logger(__name__)


@dataclass
class SendReport:
    """How many events ended how."""

    by_status: dict[str, int] = field(default_factory=dict)

    def count(self, status: str) -> None:
        """Add one."""
        self.by_status[status] = self.by_status.get(status, 0) + 1


def send_meter_events(unit_of_work: UnitOfWork, gateway: StripeGateway, *, at_most: int = 500) -> SendReport:
    """Tell what is due, one event after the other.

    Phases: lease committed, call without transaction, outcome committed.
    Idempotent by: the event's identifier at Stripe; after 23 hours without an answer by Stripe's own sum of that
    minute: with the event it counts as told, without it it is told again, anything else is parked for an operator.
    """
    report = SendReport()
    for _ in range(at_most):
        with unit_of_work.transaction() as session:
            now = unit_of_work.now()
            entry = meters.claim_entry(session, lease=gateway.longest_call + LEASE_MARGIN, now=now)
        if entry is None:
            break
        status, detail, is_unheard = _tell(unit_of_work, gateway, entry, now)
        with unit_of_work.transaction() as session:
            now = unit_of_work.now()
            if status == "pending":
                wait = min(FIRST_WAIT * 2 ** min(entry.attempts - 1, 8), LONGEST_WAIT)
                meters.postpone_entry(session, entry.id, until=now + wait, never_called=is_unheard, detail=detail)
            elif status == "negative":
                meters.make_negative_event(session, entry.id)
            else:
                meters.finish_entry(session, entry.id, status, detail=detail, now=now)
        report.count(status)
        if status in {"failed", "parked"}:
            _log.error("meter_event_untold", identifier=entry.identifier, status=status, detail=detail)
    if report.by_status:
        _log.info("meter_events_told", **report.by_status)
    return report


def _tell(
    unit_of_work: UnitOfWork, gateway: StripeGateway, entry: JournalEntry, now: datetime
) -> tuple[str, str, bool]:
    """Return the status, why, and whether Stripe has certainly not taken the event."""
    try:
        if entry.first_called_at is not None and now - entry.first_called_at >= IDENTIFIER_LIFETIME:
            proof = _prove(unit_of_work, gateway, entry)
            if proof != "absent":
                return proof, f"looked up in Stripe's sum: {proof}", False
        _call(gateway, entry)
    except (RateLimited, StripeUnavailable) as error:
        # the first answer of all says that nothing was taken; a later one says nothing of the attempts before
        return "pending", str(error), entry.attempts == 1
    except (RetryableError, StripeKeyRejected) as error:
        return "pending", str(error), False
    except StripeRefused as error:
        return _refused(entry, error)
    except TerminalError as error:
        return "failed", str(error), False
    return "sent", "", False


def _call(gateway: StripeGateway, entry: JournalEntry) -> None:
    # every attempt has a key of its own: a stored 5xx is not replayed, and the identifier keeps it from counting twice
    key = f"{entry.identifier}-{entry.attempts}"
    if entry.cancels is not None:
        params: dict[str, object] = {
            "event_name": entry.event_name,
            "type": "cancel",
            "cancel": {"identifier": entry.cancels},
        }
        operation = ADJUST
    else:
        params = {
            "event_name": entry.event_name,
            "identifier": entry.identifier,
            "timestamp": int(entry.occurred_at.timestamp()),
            "payload": {"stripe_customer_id": entry.customer_id, "value": str(entry.value)},
        }
        operation = CREATE
    gateway.call(operation, params, idempotency_key=key, account_id=entry.account_id, priority=Priority.RECONCILIATION)


def _refused(entry: JournalEntry, error: StripeRefused) -> tuple[str, str, bool]:
    said = str(error)
    if error.code == "duplicate_meter_event" or "already exists with identifier" in said:
        return "sent", "taken by an earlier attempt", False
    if entry.cancels is not None:
        if "already cancel" in said:
            return "sent", "cancelled by an earlier attempt", False
        return "negative", said, True
    return "failed", said, False


def _prove(unit_of_work: UnitOfWork, gateway: StripeGateway, entry: JournalEntry) -> str:
    """Compare Stripe's sum of the event's minute with the journal's."""
    minute = entry.occurred_at.replace(second=0, microsecond=0)
    with unit_of_work.transaction() as session:
        meter_id = meters.find_meter(session, entry.account_id, entry.event_name)
        told = meters.sum_told(session, entry.customer_id, entry.event_name, minute, minute + MINUTE, without=entry.id)
    if meter_id is None:
        return "parked"
    total = read_meter_total(
        gateway, meter_id, entry.customer_id, Period(minute, minute + MINUTE), account_id=entry.account_id
    )
    if total == told + entry.value:
        return "sent"
    return "absent" if total == told else "parked"
