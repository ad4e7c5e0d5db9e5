from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.effects.intents import (
    KEY_LIFETIME,
    IntentBusyError,
    IntentConflictError,
    IntentOutcome,
    IntentStatus,
)
from billing_worker.effects.services.begin_intent import CallPlan, begin_intent
from billing_worker.effects.services.create_intent import GRACE, create_intent
from billing_worker.effects.services.rescue_intents import rescue_intents
from billing_worker.effects.services.run_intent import run_intent
from billing_worker.inbox.services.write_through import write_through
from billing_worker.kernel.clock import FixedClock
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.switches.board import SwitchBoard
from billing_worker.switches.services.set_switch import set_switch
from billing_worker.switches.states import SwitchName
from tests.support.deliveries import rows
from tests.support.stripe_proxy import Proxy, run_proxy
from tests.support.stripe_sandbox import Sandbox, follow, gateway_to, run_sandbox

STATE = "SELECT status, generation, attempts, detail FROM billing_intents"
SNAPSHOTS = "SELECT count(*) FROM billing_webhook_events WHERE source = 'write_through'"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[Proxy]:
    with run_proxy(sandbox.url) as running:
        yield running


class Rig:
    """One customer with a good card, and intents about them."""

    def __init__(
        self, sandbox: Sandbox, proxy: Proxy, settings: Settings, unit_of_work: UnitOfWork, clock: FixedClock
    ) -> None:
        self.sandbox, self.proxy, self.unit_of_work, self.clock = sandbox, proxy, unit_of_work, clock
        self.settings = settings.model_copy(update={"stripe_api_base": proxy.url})
        self.gateway: StripeGateway = gateway_to(sandbox, settings, stripe_api_base=proxy.url)
        self.board = SwitchBoard(settings)
        follow(clock, sandbox)
        self.customer = sandbox.paying_customer()

    def payment(self, key: str = "pay:1", amount: int = 1200, method: str = "pm_card_visa") -> UUID:
        parameters = {
            "amount": amount,
            "currency": "usd",
            "customer": self.customer,
            "payment_method": method,
            "confirm": True,
            "off_session": True,
        }
        with self.unit_of_work.transaction() as session:
            return create_intent(
                session,
                account_id="",
                intent_key=key,
                operation="payment_intents.create",
                parameters=parameters,
                customer_id=self.customer,
                parent_key=None,
                now=self.unit_of_work.now(),
            )

    def run(self, intent_id: UUID) -> IntentOutcome:
        return run_intent(self.unit_of_work, self.gateway, intent_id, board=self.board, sink=write_through)

    def begin(self, intent_id: UUID) -> CallPlan:
        with self.unit_of_work.transaction() as session:
            plan = begin_intent(
                session,
                intent_id,
                board=self.board,
                lease=timedelta(seconds=0),
                now=self.unit_of_work.now(),
            )
        assert isinstance(plan, CallPlan)
        return plan

    def call_and_crash(self, intent_id: UUID) -> None:
        plan = self.begin(intent_id)
        self.gateway.call(plan.operation, plan.body, idempotency_key=plan.idempotency_key, path_ids=plan.path_ids)

    def payments_made(self) -> list[tuple[str, str]]:
        made = self.sandbox.listed("payment_intents", customer=self.customer)
        return [(payment["id"], payment["status"]) for payment in made]


@pytest.fixture
def rig(sandbox: Sandbox, proxy: Proxy, settings: Settings, unit_of_work: UnitOfWork, clock: FixedClock) -> Rig:
    return Rig(sandbox, proxy, settings, unit_of_work, clock)


def test_an_intent_makes_one_object_however_often_it_is_run(rig: Rig, session: Session) -> None:
    intent_id = rig.payment()
    first, second = rig.run(intent_id), rig.run(intent_id)
    assert (first.status, second.status) == (IntentStatus.SUCCEEDED, IntentStatus.SUCCEEDED)
    assert first.stripe_id == second.stripe_id
    assert rig.payments_made() == [(first.stripe_id, "succeeded")]
    assert rows(session, STATE) == [("succeeded", 1, 1, "")]
    assert rows(session, SNAPSHOTS) == [(1,)]
    [made] = rig.sandbox.listed("payment_intents", customer=rig.customer)
    assert made["metadata"] == {"nself_intent": str(intent_id)}


def test_the_same_key_is_the_same_intent_and_never_another_payment(rig: Rig, session: Session) -> None:
    assert rig.payment() == rig.payment()
    with pytest.raises(IntentConflictError, match="pay:1"):
        rig.payment(amount=1300)
    assert rows(session, "SELECT count(*) FROM billing_intents") == [(1,)]


@pytest.mark.parametrize("later", [timedelta(minutes=5), KEY_LIFETIME + timedelta(minutes=1)])
@pytest.mark.parametrize("has_called", [False, True])
def test_after_a_crash_around_the_call_there_is_one_object(
    rig: Rig, session: Session, *, later: timedelta, has_called: bool
) -> None:
    intent_id = rig.payment()
    if has_called:
        rig.call_and_crash(intent_id)
    else:
        rig.begin(intent_id)
    rig.clock.advance(later)
    outcome = rig.run(intent_id)
    assert rig.payments_made() == [(outcome.stripe_id, "succeeded")]
    generation = 2 if later > KEY_LIFETIME and not has_called else 1
    detail = "adopted: found at Stripe" if later > KEY_LIFETIME and has_called else ""
    assert rows(session, STATE) == [("succeeded", generation, 2, detail)]
    assert rows(session, SNAPSHOTS) == [(1,)]


def test_a_paid_invoice_is_adopted_and_an_open_one_is_paid_under_a_new_generation(rig: Rig, session: Session) -> None:
    for has_called in (True, False):
        rig.sandbox.api("POST", "invoiceitems", customer=rig.customer, amount=500, currency="usd")
        draft = rig.sandbox.api("POST", "invoices", customer=rig.customer, pending_invoice_items_behavior="include")
        invoice = rig.sandbox.api("POST", f"invoices/{draft['id']}/finalize", auto_advance=False)
        with rig.unit_of_work.transaction() as own:
            intent_id = create_intent(
                own,
                account_id="",
                intent_key=f"pay_invoice:{invoice['id']}:1",
                operation="invoices.pay",
                parameters={"off_session": True},
                path_ids={"id": invoice["id"]},
                customer_id=rig.customer,
                parent_key=f"/invoice/{invoice['id']}",
                now=rig.unit_of_work.now(),
            )
        (rig.call_and_crash if has_called else rig.begin)(intent_id)
        rig.clock.advance(KEY_LIFETIME)
        outcome = rig.run(intent_id)
        assert (outcome.status, outcome.stripe_id, outcome.stripe_status) == ("succeeded", invoice["id"], "paid")
    assert rows(session, "SELECT generation, detail FROM billing_intents ORDER BY created_at") == [
        (1, "adopted: found at Stripe"),
        (2, ""),
    ]
    assert [status for _, status in rig.payments_made()] == ["succeeded", "succeeded"]


def test_what_cannot_be_proved_is_parked_for_an_operator(rig: Rig, session: Session) -> None:
    with rig.unit_of_work.transaction() as own:
        intent_id = create_intent(
            own,
            account_id="",
            intent_key="send:1",
            operation="invoices.send",
            parameters={},
            path_ids={"id": "in_1"},
            customer_id=None,
            parent_key=None,
            now=rig.unit_of_work.now(),
        )
    rig.begin(intent_id)
    rig.clock.advance(KEY_LIFETIME)
    assert rig.run(intent_id).status is IntentStatus.PARKED
    why = "unproven: invoices.send leaves no trace that could be looked up"
    assert rows(session, STATE) == [("parked", 1, 2, why)]
    assert rig.proxy.keys == []


@pytest.mark.parametrize("fault", ["drop_answer", "done_but_500", "undated", "unreadable"])
def test_an_unclear_answer_is_repeated_with_the_same_key(rig: Rig, session: Session, fault: str) -> None:
    intent_id = rig.payment()
    rig.proxy.faults[:] = [fault]  # type: ignore[list-item]  # one of the faults
    assert rig.run(intent_id).status is IntentStatus.CALLING
    outcome = rig.run(intent_id)
    assert outcome.status is IntentStatus.SUCCEEDED
    assert rig.payments_made() == [(outcome.stripe_id, "succeeded")]
    assert [row[:3] for row in rows(session, STATE)] == [("succeeded", 1, 2)]
    assert len(rig.proxy.keys) == 2
    assert len(set(rig.proxy.keys)) == 1


@pytest.mark.parametrize("happened", [False, True])
def test_a_replayed_500_is_looked_up_and_adopted_or_issued_anew(rig: Rig, session: Session, *, happened: bool) -> None:
    intent_id = rig.payment()
    if happened:
        rig.call_and_crash(intent_id)
    rig.proxy.faults[:] = ["replayed_500"]
    outcome = rig.run(intent_id)
    assert outcome.status is IntentStatus.SUCCEEDED
    assert rig.payments_made() == [(outcome.stripe_id, "succeeded")]
    assert [row[1] for row in rows(session, STATE)] == [1 if happened else 2]


def test_a_failed_look_up_leaves_the_intent_open(rig: Rig) -> None:
    intent_id = rig.payment()
    rig.call_and_crash(intent_id)
    rig.clock.advance(KEY_LIFETIME)
    rig.proxy.read_faults[:] = ["too_many"] * (rig.settings.stripe_max_retries + 1)
    assert rig.run(intent_id).status is IntentStatus.CALLING
    assert rig.run(intent_id).detail == "adopted: found at Stripe"
    assert len(rig.payments_made()) == 1


def test_a_decline_ends_the_intent_with_the_banks_code(rig: Rig) -> None:
    intent_id = rig.payment(method="pm_card_visa_chargeDeclinedInsufficientFunds")
    outcome = rig.run(intent_id)
    assert (outcome.status, outcome.error_code, outcome.decline_code) == (
        IntentStatus.DECLINED,
        "card_declined",
        "insufficient_funds",
    )
    assert rig.run(intent_id).status is IntentStatus.DECLINED
    assert [status for _, status in rig.payments_made()] == ["requires_payment_method"]
    assert len(rig.proxy.keys) == 1


def test_a_refusal_is_final(rig: Rig, session: Session) -> None:
    outcome = rig.run(rig.payment(amount=-5))
    assert outcome.status is IntentStatus.FAILED
    assert rig.payments_made() == []
    assert rows(session, "SELECT count(*) FROM billing_intents WHERE finished_at IS NULL") == [(0,)]


def test_safe_mode_holds_what_moves_money_and_the_rescue_makes_it_later(rig: Rig) -> None:
    intent_id = rig.payment()
    with rig.unit_of_work.transaction() as own:
        set_switch(own, SwitchName.SAFE_MODE, "true", reason="t", changed_by="t", now=rig.unit_of_work.now())
    held = rig.run(intent_id)
    assert (held.status, held.detail) == (IntentStatus.PENDING, "safe mode is on: nothing that moves money runs")
    assert rig.proxy.keys == []
    with rig.unit_of_work.transaction() as own:
        set_switch(own, SwitchName.SAFE_MODE, "false", reason="t", changed_by="t", now=rig.unit_of_work.now())
    rig.clock.advance(GRACE)
    rescued = rescue_intents(rig.unit_of_work, rig.gateway, board=rig.board, sink=write_through)
    assert rescued == {"succeeded": 1}
    assert len(rig.payments_made()) == 1


def test_two_workers_at_once_make_one_object(rig: Rig, session: Session) -> None:
    intent_id = rig.payment()
    barrier = threading.Barrier(4)

    def run() -> str:
        barrier.wait()
        try:
            return rig.run(intent_id).status.value
        except IntentBusyError:
            return "busy"

    with ThreadPoolExecutor(4) as pool:
        ends = [future.result() for future in [pool.submit(run) for _ in range(4)]]
    assert set(ends) <= {"succeeded", "busy"}
    assert "succeeded" in ends
    assert len(rig.payments_made()) == 1
    assert len(set(rig.proxy.keys)) == 1
    assert [row[:2] for row in rows(session, STATE)] == [("succeeded", 1)]


@pytest.mark.parametrize("point", ["before_call", "after_call", "before_commit", "after_commit"])
def test_kill_9_at_every_step_leaves_one_object_and_one_row(
    rig: Rig, session: Session, settings: Settings, point: str
) -> None:
    intent_id = rig.payment()
    environment = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "STRIPE_SECRET_KEY": settings.stripe_secret_key.get_secret_value(),
        "STRIPE_API_BASE": rig.sandbox.url,
        "NSELF_ENV_FILE": str(settings.nself_env_file),
    }
    victim = subprocess.run(
        [sys.executable, "-m", "tests.integration.effects.victim", str(intent_id), point],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert victim.returncode == -signal.SIGKILL, victim.stderr
    is_committed = point == "after_commit"
    assert [row[0] for row in rows(session, STATE)] == ["succeeded" if is_committed else "calling"]
    if not is_committed:
        with pytest.raises(IntentBusyError):
            rig.run(intent_id)
        session.rollback()
        rows(session, "UPDATE billing_intents SET lease_until = clock_timestamp() RETURNING id")
        session.commit()
    outcome = rig.run(intent_id)
    assert outcome.status is IntentStatus.SUCCEEDED
    assert rig.payments_made() == [(outcome.stripe_id, "succeeded")]
    assert rows(session, "SELECT count(*) FROM billing_intents") == [(1,)]
    assert rows(session, SNAPSHOTS) == [(1,)]
