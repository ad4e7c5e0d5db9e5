"""Collect the invoices whose retry is due."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.payments.models import PaymentRetry
from billing_worker.domains.payments.queries import claim_due_retries, lock_retry
from billing_worker.domains.payments.rules import CLAIM, InvoiceStanding, RetryPolicy, compute_standing
from billing_worker.domains.payments.services.close_retries import close_retries
from billing_worker.domains.payments.services.inspect_failure import inspect_failure
from billing_worker.domains.payments.services.pay_retry import pay_retry
from billing_worker.effects.intents import IntentBusyError, SnapshotSink
from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.stripe_gateway.errors import StripeNotFound
from billing_worker.switches.board import SwitchBoard

BATCH = 1
"""One at a time: a retry that fails in an unforeseen way takes no other one along; the call costs far more anyway."""

HELD_WAIT = timedelta(minutes=1)
ERROR_WAIT = timedelta(minutes=5)

EXPAND = ("payments.data.payment.payment_intent",)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Collector:
    """What collecting needs besides the database."""

    gateway: StripeGateway
    board: SwitchBoard
    policy: RetryPolicy
    sink: SnapshotSink


def collect_due_payments(unit_of_work: UnitOfWork, collector: Collector) -> Mapping[str, int]:
    """Drain the due retries: learn new declines, pay what is to be paid, and count what happened.

    The decline code of a failure and the invoice's state are read at Stripe just before anything is decided or paid:
    the invoice's event carries no code, and nobody else's payment of the meantime must be collected twice.
    Phases: claim (one transaction per batch); then for each retry: read at Stripe, decide or start its intent
    (committed), call, settle (committed).
    Idempotent by: the retry's row, and the intent key `pay_invoice:<invoice>:<attempt>:<due at>`.
    """
    counts: Counter[str] = Counter()
    while True:
        with unit_of_work.transaction() as session:
            now = unit_of_work.now()
            claimed = _claim(session, collector, now)
        if not claimed.retries:
            counts["held"] += claimed.held
            return counts
        for retry in claimed.retries:
            counts[_attend(unit_of_work, collector, retry)] += 1


@dataclass(frozen=True, slots=True)
class _Claimed:
    retries: tuple[PaymentRetry, ...] = ()
    held: int = 0


def _claim(session: Session, collector: Collector, now: datetime) -> _Claimed:
    switches = collector.board.read(session)
    why = switches.why_money_is_held(automatic=True)
    if why is None and switches.collector != "nself":
        why = "Stripe collects (BILLING_COLLECTOR=stripe)"
    retries = claim_due_retries(session, now, size=BATCH if why is None else 1000)
    for retry in retries:
        retry.next_attempt_at = now + (CLAIM if why is None else HELD_WAIT)
    if why is None:
        return _Claimed(tuple(retries))
    if retries:
        _log.info("payments_held", reason=why, retries=len(retries))
    return _Claimed(held=len(retries))


def _attend(unit_of_work: UnitOfWork, collector: Collector, retry: PaymentRetry) -> str:
    try:
        answer = collector.gateway.retrieve("invoice", retry.invoice_id, expand=EXPAND, account_id=retry.account_id)
        standing = compute_standing(answer.data)
    except StripeNotFound:
        standing = InvoiceStanding("deleted", stripe_retries_at=None, decline_code=None, is_under_way=False)
    except (RetryableError, TerminalError) as error:
        return _postpone(unit_of_work, retry, ERROR_WAIT, str(error))
    if standing.status != "open":
        with unit_of_work.transaction() as session:
            close_retries(
                session,
                retry.account_id,
                retry.invoice_id,
                is_paid=standing.status == "paid",
                now=unit_of_work.now(),
            )
        return "recovered" if standing.status == "paid" else "canceled"
    if retry.inspected_at is None:
        with unit_of_work.transaction() as session:
            inspect_failure(session, retry.id, standing, policy=collector.policy, now=unit_of_work.now())
        return "inspected"
    if standing.is_under_way or standing.stripe_retries_at is not None:
        return _postpone(unit_of_work, retry, timedelta(hours=6), "a payment is under way at Stripe")
    try:
        status = pay_retry(unit_of_work, collector.gateway, retry, board=collector.board, sink=collector.sink)
    except IntentBusyError as error:
        return _postpone(unit_of_work, retry, HELD_WAIT, str(error))
    return status.value


def _postpone(unit_of_work: UnitOfWork, retry: PaymentRetry, wait: timedelta, why: str) -> str:
    _log.warning("payment_retry_postponed", invoice_id=retry.invoice_id, reason=why)
    with unit_of_work.transaction() as session:
        locked = lock_retry(session, retry.id)
        if locked.next_attempt_at is not None:
            locked.next_attempt_at = unit_of_work.now() + wait
    return "postponed"
