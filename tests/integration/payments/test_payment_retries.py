from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from billing_worker.domains.payments.rules import JITTER
from billing_worker.domains.payments.services.process_payment_queue import process_payment_queue
from billing_worker.inbox.services.write_through import write_through
from billing_worker.switches.board import SwitchBoard
from billing_worker.switches.services.set_switch import set_switch
from billing_worker.switches.states import SwitchName
from tests.integration.payments.conftest import Shop
from tests.support.deliveries import rows
from tests.support.stripe_sandbox import follow

RETRIES = (
    "SELECT attempt_count, decline_code, decision, status, due_at - failed_at FROM billing_payment_retries ORDER BY id"
)
PLANS = "SELECT status, detail FROM billing_effects WHERE kind = 'dunning.plan_retry' ORDER BY id"
INTENTS = "SELECT operation, status, generation, decline_code FROM billing_intents ORDER BY created_at, intent_key"


def renew_with_declined_card(shop: Shop, method: str) -> tuple[str, str]:
    """Let a subscription renew with a card that has gone bad; return (customer, open invoice)."""
    customer = shop.sandbox.paying_customer()
    subscription = shop.sandbox.subscribe(customer, shop.sandbox.monthly_price())
    shop.sandbox.use_method(customer, method)
    period_end = subscription["items"]["data"][0]["current_period_end"]
    # A renewal's draft is finalised and charged an hour after the period's end.
    shop.sandbox.control("clock", {"to": period_end + 3600 + 60})
    renewed = shop.sandbox.api("GET", f"subscriptions/{subscription['id']}")
    invoice = shop.sandbox.api("GET", f"invoices/{renewed['latest_invoice']}")
    assert (renewed["status"], invoice["status"], invoice["next_payment_attempt"]) == ("past_due", "open", None)
    return customer, invoice["id"]


def advance_to_due(shop: Shop, session: Session) -> None:
    due_at: datetime
    [(due_at,)] = rows(session, "SELECT due_at FROM billing_payment_retries WHERE status = 'waiting'")
    shop.sandbox.control("clock", {"to": int(due_at.timestamp()) + 1})
    shop.catch_up()


def payments_of(shop: Shop, invoice_id: str) -> list[str]:
    invoice = shop.sandbox.api("GET", f"invoices/{invoice_id}", expand=["payments"])
    intents = {payment["payment"]["payment_intent"] for payment in invoice["payments"]["data"]}
    charges = [charge for charge in shop.sandbox.listed("charges") if charge["payment_intent"] in intents]
    return [charge["status"] for charge in charges]


def test_a_soft_decline_is_retried_until_it_is_paid_and_nothing_is_charged_twice(shop: Shop, session: Session) -> None:
    customer, invoice = renew_with_declined_card(shop, "pm_card_visa_chargeDeclinedInsufficientFunds")
    shop.catch_up()
    assert rows(session, PLANS) == [("done", "no decline code is known: retry 1 of 4, 1 days after the failure")]

    assert shop.collect() == {"inspected": 1, "held": 0}
    [(attempt, code, decision, status, wait)] = rows(session, RETRIES)
    assert (attempt, code, decision, status) == (1, "insufficient_funds", "retry", "waiting")
    assert timedelta(days=1) <= wait < timedelta(days=1) + JITTER
    assert shop.collect() == {"held": 0}

    advance_to_due(shop, session)
    assert shop.collect() == {"declined": 1, "held": 0}
    shop.catch_up()
    shop.collect()
    assert [row[:4] for row in rows(session, RETRIES)] == [
        (1, "insufficient_funds", "retry", "declined"),
        (2, "insufficient_funds", "retry", "waiting"),
    ]

    shop.sandbox.use_method(customer, "pm_card_visa")
    advance_to_due(shop, session)
    assert shop.collect() == {"recovered": 1, "held": 0}
    shop.catch_up()
    assert [row[3] for row in rows(session, RETRIES)] == ["declined", "recovered"]
    assert rows(session, INTENTS) == [
        ("invoices.pay", "declined", 1, "insufficient_funds"),
        ("invoices.pay", "succeeded", 1, None),
    ]
    assert payments_of(shop, invoice) == ["failed", "failed", "succeeded"]
    assert shop.collect() == {"held": 0}
    assert rows(session, "SELECT status FROM billing_invoices WHERE id = :id", id=invoice) == [("paid",)]


def test_a_hard_decline_waits_for_the_customer_and_is_settled_by_their_payment(shop: Shop, session: Session) -> None:
    customer, invoice = renew_with_declined_card(shop, "pm_card_visa_chargeDeclinedLostCard")
    shop.catch_up()
    shop.collect()
    assert rows(session, RETRIES) == [(1, "lost_card", "wait_for_customer", "waiting", None)]
    shop.sandbox.advance(days=40)
    shop.catch_up()
    shop.collect()
    assert payments_of(shop, invoice) == ["failed"]
    assert rows(session, "SELECT count(*) FROM billing_intents") == [(0,)]

    shop.sandbox.use_method(customer, "pm_card_visa")
    shop.sandbox.api("POST", f"invoices/{invoice}/pay")
    shop.catch_up()
    first = "SELECT status FROM billing_payment_retries WHERE invoice_id = :id"
    assert rows(session, first, id=invoice) == [("recovered",)]


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_card_visa_chargeDeclinedLostCard", "lost_card"),
        ("pm_card_authenticationRequired", "authentication_required"),
    ],
)
def test_a_new_default_card_is_charged_at_once(shop: Shop, session: Session, method: str, code: str) -> None:
    customer, invoice = renew_with_declined_card(shop, method)
    shop.catch_up()
    shop.collect()
    assert [row[1:4] for row in rows(session, RETRIES)] == [(code, "wait_for_customer", "waiting")]
    shop.sandbox.advance(days=2)
    shop.sandbox.use_method(customer, "pm_card_visa")
    shop.catch_up()
    assert shop.collect() == {"recovered": 1, "held": 0}
    assert shop.sandbox.api("GET", f"invoices/{invoice}")["status"] == "paid"
    shop.catch_up()
    assert shop.collect() == {"held": 0}
    assert payments_of(shop, invoice)[-1:] == ["succeeded"]
    assert payments_of(shop, invoice).count("succeeded") == 1


def test_a_refusal_for_want_of_a_card_waits_and_the_next_card_is_charged(shop: Shop, session: Session) -> None:
    customer, invoice = renew_with_declined_card(shop, "pm_card_visa_chargeDeclined")
    shop.catch_up()
    shop.collect()
    for card in shop.sandbox.listed("payment_methods", customer=customer):
        shop.sandbox.api("POST", f"payment_methods/{card['id']}/detach")
    advance_to_due(shop, session)
    assert shop.collect() == {"waiting": 1, "held": 0}
    [(_, _, decision, status, due_in)] = rows(session, RETRIES)
    assert (decision, status, due_in) == ("wait_for_customer", "waiting", None)
    assert rows(session, INTENTS) == [("invoices.pay", "failed", 1, None)]
    shop.sandbox.advance(hours=1)
    shop.sandbox.use_method(customer, "pm_card_visa")
    shop.catch_up()
    assert shop.collect() == {"recovered": 1, "held": 0}
    assert [row[1] for row in rows(session, INTENTS)] == ["failed", "succeeded"]
    assert payments_of(shop, invoice) == ["failed", "succeeded"]


def test_two_collectors_at_once_charge_once(shop: Shop, session: Session) -> None:
    customer, invoice = renew_with_declined_card(shop, "pm_card_visa_chargeDeclined")
    shop.catch_up()
    shop.collect()
    [(due_at,)] = rows(session, "SELECT due_at FROM billing_payment_retries")
    shop.sandbox.control("clock", {"to": int(due_at.timestamp()) + 1})
    shop.sandbox.use_method(customer, "pm_card_visa")
    follow(shop.clock, shop.sandbox)
    barrier = threading.Barrier(3)

    def collect() -> dict[str, object]:
        barrier.wait()
        return shop.collect()

    with ThreadPoolExecutor(3) as pool:
        ended = [future.result() for future in [pool.submit(collect) for _ in range(3)]]
    assert sorted(str(one.get("recovered", 0)) for one in ended) == ["0", "0", "1"]
    assert payments_of(shop, invoice) == ["failed", "succeeded"]
    assert rows(session, "SELECT count(*) FROM billing_intents") == [(1,)]


def test_retries_end_as_given_up_and_later_failures_plan_nothing(shop: Shop, session: Session) -> None:
    _, invoice = renew_with_declined_card(shop, "pm_card_visa_chargeDeclined")
    shop.catch_up()
    shop.collect()
    for _ in range(4):
        advance_to_due(shop, session)
        shop.collect()
        shop.catch_up()
        shop.collect()
    statement = "SELECT attempt_count, decision, status FROM billing_payment_retries ORDER BY id"
    assert rows(session, statement) == [
        (1, "retry", "declined"),
        (2, "retry", "declined"),
        (3, "retry", "declined"),
        (4, "retry", "declined"),
        (5, "give_up", "given_up"),
    ]
    assert payments_of(shop, invoice) == ["failed"] * 5


def test_replaying_every_event_moves_no_money_and_changes_no_row(shop: Shop, session: Session) -> None:
    customer, _ = renew_with_declined_card(shop, "pm_card_visa_chargeDeclined")
    shop.catch_up()
    shop.collect()
    shop.sandbox.use_method(customer, "pm_card_visa")
    advance_to_due(shop, session)
    shop.collect()
    shop.catch_up()
    everything = (
        "SELECT * FROM billing_payment_retries ORDER BY id",
        "SELECT * FROM billing_intents ORDER BY id",
        "SELECT * FROM billing_transactions ORDER BY id",
    )
    before = [rows(session, statement) for statement in everything]
    charges = len(shop.sandbox.listed("charges"))

    session.rollback()
    rows(session, "UPDATE billing_webhook_events SET status = 'pending' WHERE type <> 'nself.snapshot' RETURNING id")
    session.commit()
    shop.catch_up()
    shop.collect()
    shop.rescue()
    assert [rows(session, statement) for statement in everything] == before
    assert len(shop.sandbox.listed("charges")) == charges


def test_stripe_as_collector_leaves_every_failure_alone(shop: Shop, session: Session) -> None:
    with shop.container.unit_of_work.transaction() as own:
        set_switch(
            own, SwitchName.COLLECTOR, "stripe", reason="test", changed_by="test", now=shop.container.unit_of_work.now()
        )
    renew_with_declined_card(shop, "pm_card_visa_chargeDeclined")
    shop.catch_up()
    assert rows(session, PLANS) == [("skipped", "Stripe collects (BILLING_COLLECTOR=stripe)")]
    assert rows(session, RETRIES) == []


def test_safe_mode_holds_due_payments_and_lets_them_go_afterwards(shop: Shop, session: Session) -> None:
    customer, _ = renew_with_declined_card(shop, "pm_card_visa_chargeDeclined")
    shop.catch_up()
    shop.collect()
    shop.sandbox.use_method(customer, "pm_card_visa")
    advance_to_due(shop, session)
    unit_of_work = shop.container.unit_of_work
    with unit_of_work.transaction() as own:
        set_switch(own, SwitchName.SAFE_MODE, "true", reason="test", changed_by="test", now=unit_of_work.now())
    assert shop.collect() == {"held": 1}
    assert shop.collect() == {"held": 0}
    assert rows(session, "SELECT count(*) FROM billing_intents") == [(0,)]
    with unit_of_work.transaction() as own:
        set_switch(own, SwitchName.SAFE_MODE, "false", reason="test", changed_by="test", now=unit_of_work.now())
    shop.clock.advance(timedelta(minutes=2))
    assert shop.collect() == {"recovered": 1, "held": 0}


def test_queued_payments_wait_for_the_operator_and_are_made_once(shop: Shop, session: Session) -> None:
    customer, invoice = renew_with_declined_card(shop, "pm_card_visa_chargeDeclined")
    shop.catch_up()
    shop.collect()
    shop.sandbox.use_method(customer, "pm_card_visa")
    unit_of_work = shop.container.unit_of_work
    with unit_of_work.transaction() as own:
        set_switch(own, SwitchName.QUEUE_PAYMENTS, "true", reason="test", changed_by="test", now=unit_of_work.now())
    advance_to_due(shop, session)
    assert shop.collect() == {"waiting": 1, "held": 0}
    assert shop.collect() == {"held": 0}
    queue = "SELECT invoice_id, amount_minor, status FROM billing_payment_queue"
    assert rows(session, queue) == [(invoice, 1000, "queued")]

    board = SwitchBoard(shop.container.settings)
    for expected in ({"done": 1}, {}):
        made = process_payment_queue(unit_of_work, shop.container.stripe, board=board, sink=write_through)
        assert dict(made) == expected
    assert rows(session, queue) == [(invoice, 1000, "done")]
    assert [row[3] for row in rows(session, RETRIES)] == ["recovered"]
    assert payments_of(shop, invoice) == ["failed", "succeeded"]


def test_the_ledger_has_each_charge_and_refund_once(shop: Shop, session: Session) -> None:
    customer = shop.sandbox.paying_customer()
    shop.sandbox.subscribe(customer, shop.sandbox.monthly_price(2500))
    shop.catch_up()
    [charge] = [charge for charge in shop.sandbox.listed("charges") if charge["customer"] == customer]
    first = shop.sandbox.api("POST", "refunds", charge=charge["id"], amount=700)
    second = shop.sandbox.api("POST", "refunds", charge=charge["id"], amount=300)
    shop.catch_up()
    ledger = "SELECT transaction_key, amount_minor, currency, charge_id FROM billing_transactions ORDER BY 2 DESC"
    assert rows(session, ledger) == [
        (f"charge:{charge['id']}", 2500, "usd", charge["id"]),
        (f"refund:{first['id']}", 700, "usd", charge["id"]),
        (f"refund:{second['id']}", 300, "usd", charge["id"]),
    ]
