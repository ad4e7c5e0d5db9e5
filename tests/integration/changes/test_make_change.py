"""How a change ends when it is not simply done."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.changes.change import (
    Change,
    ChangeDeclined,
    ChangeRefused,
    ChangeUnsettled,
    StripeAway,
    Verdict,
)
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.compare_object import compare_object
from billing_worker.changes.services.import_object import import_object
from billing_worker.changes.services.make_change import make_change
from billing_worker.changes.services.resolve_intent import resolve_intent
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.customers.errors import UserTakenError
from billing_worker.domains.customers.services.create_customer import create_customer
from billing_worker.effects.intents import IntentBusyError, IntentStatus
from billing_worker.effects.services.begin_intent import begin_intent
from billing_worker.effects.services.create_intent import create_intent
from billing_worker.effects.services.rescue_intents import rescue_intents
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.errors import NotFoundError
from billing_worker.runtime.settings import Settings
from billing_worker.switches.services.set_switch import set_switch
from billing_worker.switches.states import SwitchName
from tests.support.changes import open_test_door
from tests.support.deliveries import rows
from tests.support.stripe_proxy import Proxy, run_proxy
from tests.support.stripe_sandbox import Sandbox, follow, gateway_to, run_sandbox

STANDING = "SELECT operation, status, attempts FROM billing_intents ORDER BY created_at, intent_key"
GOLD = Change("products.create", {"name": "Gold"})


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[Proxy]:
    with run_proxy(sandbox.url) as running:
        yield running


@pytest.fixture
def door(sandbox: Sandbox, proxy: Proxy, settings: Settings, unit_of_work: UnitOfWork, clock: FixedClock) -> ChangeDoor:
    follow(clock, sandbox)
    gateway = gateway_to(sandbox, settings, stripe_api_base=proxy.url)
    return open_test_door(settings, unit_of_work, gateway)


def switch(unit_of_work: UnitOfWork, name: SwitchName) -> None:
    with unit_of_work.transaction() as session:
        set_switch(session, name, "true", reason="t", changed_by="t", now=unit_of_work.now())


def store(unit_of_work: UnitOfWork, change: Change, *, key: str = "") -> Any:
    with unit_of_work.transaction() as session:
        return create_intent(
            session,
            account_id="",
            intent_key=key or f"change:{change.operation}:{change.parent_key}:1",
            operation=change.operation,
            parameters=change.parameters,
            path_ids=change.path_ids,
            customer_id=None,
            parent_key=change.parent_key,
            now=unit_of_work.now(),
        )


def test_a_change_is_in_the_mirror_when_it_returns_and_equal_ones_are_made_one_after_the_other(
    door: ChangeDoor, session: Session
) -> None:
    first, second = make_change(door, GOLD), make_change(door, GOLD)
    assert (first.is_mirrored, second.is_mirrored) == (True, True)
    assert first.stripe_id != second.stripe_id
    ids = rows(session, "SELECT id FROM billing_products ORDER BY id")
    assert ids == sorted([(first.stripe_id,), (second.stripe_id,)])
    assert rows(session, STANDING) == [("products.create", "succeeded", 1)] * 2


def test_a_dry_run_stores_and_sends_nothing(door: ChangeDoor, proxy: Proxy, session: Session) -> None:
    dry = open_dry(door)
    planned = make_change(dry, Change("customers.update", {"email": "a@example.com", "name": None}, object_id="cus_1"))
    assert (planned.would_call, planned.data) == ("POST /v1/customers/cus_1", {"email": "a@example.com"})
    assert rows(session, STANDING) == []
    assert proxy.keys == []


def open_dry(door: ChangeDoor) -> ChangeDoor:
    return ChangeDoor(door.unit_of_work, door.gateway, door.board, door.attend_lane, is_dry_run=True)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (Change("products.create", {"name": ""}), ChangeRefused, "empty string for 'name'"),
        (Change("customers.update", {"email": "a@b.c"}, object_id="cus_no"), NotFoundError, "customer list"),
        (Change("payment_methods.attach", {"customer": "cus_no"}, object_id="pm_card_visa"), NotFoundError, "cus_no"),
    ],
)
def test_a_refusal_is_stripes_word_with_the_next_step_and_ends_the_intent(
    door: ChangeDoor, session: Session, change: Change, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        make_change(door, change)
    assert rows(session, STANDING) == [(change.operation, "failed", 1)]


def test_a_decline_tells_the_banks_code(door: ChangeDoor, sandbox: Sandbox) -> None:
    customer = sandbox.api("POST", "customers")["id"]
    method = "pm_card_visa_chargeDeclinedInsufficientFunds"
    payment = {"amount": 900, "currency": "usd", "customer": customer, "payment_method": method, "confirm": True}
    payment["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
    with pytest.raises(ChangeDeclined) as caught:
        make_change(door, Change("payment_intents.create", payment, customer_id=customer))
    assert caught.value.decline_code == "insufficient_funds"
    assert str(caught.value.stripe_id).startswith("pi_")


def test_a_stripe_that_is_away_leaves_nothing_to_do(
    door: ChangeDoor, settings: Settings, sandbox: Sandbox, session: Session
) -> None:
    away = open_test_door(
        settings, door.unit_of_work, gateway_to(sandbox, settings, stripe_api_base="http://127.0.0.1:1")
    )
    with pytest.raises(StripeAway, match="nothing was changed"):
        make_change(away, GOLD)
    assert rows(session, STANDING) == [("products.create", "failed", 1)]
    assert make_change(door, GOLD).is_mirrored


def test_an_unknown_outcome_stays_open_and_the_same_command_finds_out(
    door: ChangeDoor, proxy: Proxy, sandbox: Sandbox, session: Session
) -> None:
    change = Change("products.create", {"name": "Unclear"})
    proxy.faults[:] = ["drop_answer"]
    with pytest.raises(ChangeUnsettled, match="nself billing intent show"):
        make_change(door, change)
    assert rows(session, STANDING) == [("products.create", "calling", 1)]
    made = make_change(door, change)
    assert rows(session, STANDING) == [("products.create", "succeeded", 2)]
    assert [one["id"] for one in sandbox.listed("products") if one["name"] == "Unclear"] == [made.stripe_id]


def test_another_change_of_the_kind_waits_for_the_first(door: ChangeDoor, proxy: Proxy, sandbox: Sandbox) -> None:
    customer = sandbox.api("POST", "customers")["id"]
    proxy.faults[:] = ["drop_answer"]
    with pytest.raises(ChangeUnsettled):
        make_change(door, Change("customers.update", {"name": "A"}, object_id=customer))
    with pytest.raises(ChangeRefused, match="under way, with other values"):
        make_change(door, Change("customers.update", {"name": "B"}, object_id=customer))
    make_change(door, Change("customers.update", {"name": "A"}, object_id=customer))
    make_change(door, Change("customers.update", {"name": "B"}, object_id=customer))
    assert sandbox.api("GET", f"customers/{customer}")["name"] == "B"


def test_a_change_that_a_worker_has_in_hand_is_left_to_it(door: ChangeDoor, proxy: Proxy) -> None:
    intent_id = store(door.unit_of_work, GOLD)
    with door.unit_of_work.transaction() as session:
        lease = door.gateway.longest_call
        begin_intent(session, intent_id, board=door.board, lease=lease, now=door.unit_of_work.now())
    with pytest.raises(IntentBusyError):
        make_change(door, GOLD)
    assert proxy.keys == []


@pytest.mark.parametrize(
    ("name", "change", "is_refused"),
    [
        (SwitchName.MAINTENANCE, GOLD, True),
        (SwitchName.SAFE_MODE, GOLD, False),
        (SwitchName.SAFE_MODE, Change("payment_intents.create", {"amount": 900, "currency": "usd"}), True),
    ],
)
def test_switches_refuse_before_anything_is_stored(
    door: ChangeDoor, proxy: Proxy, session: Session, name: SwitchName, change: Change, *, is_refused: bool
) -> None:
    switch(door.unit_of_work, name)
    if not is_refused:
        assert make_change(door, change).is_mirrored
        return
    with pytest.raises(ChangeRefused):
        make_change(door, change)
    assert rows(session, STANDING) == []
    assert proxy.keys == []


class Parked:
    """A sending of an invoice that nobody can prove."""

    def __init__(self, door: ChangeDoor, sandbox: Sandbox) -> None:
        customer = sandbox.paying_customer()
        sandbox.api("POST", "invoiceitems", customer=customer, amount=500, currency="usd")
        how: Mapping[str, Any] = {"collection_method": "send_invoice", "days_until_due": 14}
        draft = sandbox.api("POST", "invoices", customer=customer, pending_invoice_items_behavior="include", **how)
        self.change = Change("invoices.send", {}, object_id=draft["id"])
        self.invoice = str(draft["id"])
        self.intent = store(door.unit_of_work, self.change)
        with door.unit_of_work.transaction() as session:
            session.execute(PARK, {"id": self.intent})


PARK = text("UPDATE billing_intents SET status = 'parked', attempts = 1 WHERE id = :id")


@pytest.mark.parametrize(
    ("verdict", "status"),
    [(Verdict.HAPPENED, "succeeded"), (Verdict.NEVER, "failed"), (Verdict.AGAIN, "succeeded")],
)
def test_an_operator_ends_what_could_not_be_proved(
    door: ChangeDoor, sandbox: Sandbox, proxy: Proxy, session: Session, verdict: Verdict, status: str
) -> None:
    parked = Parked(door, sandbox)
    with pytest.raises(ChangeRefused, match=f"intent resolve {parked.intent}"):
        make_change(door, parked.change)
    proxy.keys.clear()
    shown = parked.invoice if verdict is Verdict.HAPPENED else None
    resolved = resolve_intent(door, parked.intent, verdict=verdict, object_id=shown)
    assert resolved.is_mirrored == (verdict is not Verdict.NEVER)
    assert rows(session, "SELECT status FROM billing_intents") == [(status,)]
    assert len(proxy.keys) == (verdict is Verdict.AGAIN)
    with pytest.raises(ChangeRefused, match="not parked"):
        resolve_intent(door, parked.intent, verdict=verdict, object_id=shown)


def test_only_the_object_that_shows_it_is_adopted(door: ChangeDoor, sandbox: Sandbox, session: Session) -> None:
    parked = Parked(door, sandbox)
    other = Parked(door, sandbox)
    with pytest.raises(ChangeRefused, match=f"about {parked.invoice}, not about {other.invoice}"):
        resolve_intent(door, parked.intent, verdict=Verdict.HAPPENED, object_id=other.invoice)
    with door.unit_of_work.transaction() as own:
        own.execute(PARK, {"id": (product := store(door.unit_of_work, GOLD))})
    foreign = sandbox.api("POST", "products", name="Gold")["id"]
    with pytest.raises(ChangeRefused, match="somebody else"):
        resolve_intent(door, product, verdict=Verdict.HAPPENED, object_id=foreign)
    assert rows(session, "SELECT DISTINCT status FROM billing_intents") == [(IntentStatus.PARKED.value,)]
    assert rescue_intents(door.unit_of_work, door.gateway, board=door.board, sink=door.sink) == {}


def test_what_is_only_at_stripe_is_compared_and_imported(door: ChangeDoor, sandbox: Sandbox) -> None:
    customer = sandbox.api("POST", "customers", email="a@example.com")["id"]
    missing = compare_object(door.unit_of_work, door.gateway, "customer", customer)
    assert (missing.is_here, missing.is_at_stripe, missing.is_equal) == (False, True, False)
    assert import_object(open_dry(door), "customer", customer).is_planned
    assert import_object(door, "customer", customer).is_mirrored
    assert compare_object(door.unit_of_work, door.gateway, "customer", customer).is_equal
    sandbox.api("POST", f"customers/{customer}", description="changed")
    assert list(compare_object(door.unit_of_work, door.gateway, "customer", customer).differences) == ["description"]
    with pytest.raises(NotFoundError, match="Stripe has no customer"):
        import_object(door, "customer", "cus_no")


def test_two_operators_who_create_a_customer_for_one_user_at_once_make_one(
    door: ChangeDoor, sandbox: Sandbox, session: Session
) -> None:
    barrier = threading.Barrier(4)
    before = len(sandbox.listed("customers"))

    def create() -> str:
        barrier.wait()
        try:
            made = create_customer(door, fields={"email": "a@example.com"}, user_id="ann", created_by="op")
        except (IntentBusyError, UserTakenError) as error:
            return type(error).__name__
        return str(made.stripe_id)

    with ThreadPoolExecutor(4) as pool:
        ends = {future.result() for future in [pool.submit(create) for _ in range(4)]}
    [(customer,)] = rows(session, "SELECT customer_id FROM billing_customer_users")
    assert ends - {"IntentBusyError", "UserTakenError"} == {customer}
    assert len(sandbox.listed("customers")) == before + 1
    assert rows(session, STANDING) == [("customers.create", "succeeded", 1)]
    with pytest.raises(UserTakenError, match=customer):
        create_customer(door, fields={"email": "b@example.com"}, user_id="ann", created_by="op")
