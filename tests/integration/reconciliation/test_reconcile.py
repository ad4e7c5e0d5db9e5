from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.reconciliation.errors import (
    NothingToResumeError,
    ReconciliationBusyError,
    ReconciliationIncompleteError,
)
from billing_worker.domains.reconciliation.rules import Scope
from billing_worker.domains.reconciliation.services.confirm_heals import confirm_heals
from billing_worker.domains.reconciliation.services.reconcile import Reconciled, reconcile
from billing_worker.kernel.clock import FixedClock
from billing_worker.routing.table import DISPATCHER
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway
from tests.support.deliveries import drain, rows, store
from tests.support.stripe_proxy import Proxy, run_proxy
from tests.support.stripe_sandbox import Sandbox, bring_events, follow, gateway_to, run_sandbox

DIFFERENCES = (
    "SELECT split_part(object_key, '/', 3), kind, healed_at IS NOT NULL "
    "FROM billing_reconciliation_differences ORDER BY 1"
)
RUNS = "SELECT status, compared, differing, healed FROM billing_reconciliation_runs ORDER BY id"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[Proxy]:
    with run_proxy(sandbox.url) as running:
        yield running


class Rig:
    def __init__(
        self,
        sandbox: Sandbox,
        proxy: Proxy,
        settings: Settings,
        engine: Engine,
        unit_of_work: UnitOfWork,
        clock: FixedClock,
    ) -> None:
        self.sandbox, self.proxy, self.engine, self.unit_of_work = sandbox, proxy, engine, unit_of_work
        self.clock = clock
        self.retries = settings.stripe_max_retries
        self.gateway: StripeGateway = gateway_to(sandbox, settings, stripe_api_base=proxy.url)
        self.known: set[str] = set()

    def bring(self) -> None:
        bring_events(self.sandbox, self.engine, self.unit_of_work, DISPATCHER, known=self.known)

    def lose_events(self) -> None:
        self.known.update(event["id"] for event in self.sandbox.listed("events"))

    def later(self) -> None:
        """Let a minute pass: a snapshot claims no more than the second before its request."""
        self.sandbox.advance(hours=1 / 60)
        follow(self.clock, self.sandbox)

    def reconcile(self, scope: Scope | None = None, **options: Any) -> Reconciled:
        return reconcile(
            self.unit_of_work, self.gateway, scope=scope or Scope(types=("customer",)), started_by="test", **options
        )

    def heal(self) -> int:
        drain(self.unit_of_work, DISPATCHER)
        with self.unit_of_work.transaction() as session:
            return confirm_heals(session, now=self.unit_of_work.now())


@pytest.fixture
def rig(
    sandbox: Sandbox,
    proxy: Proxy,
    settings: Settings,
    engine: Engine,
    unit_of_work: UnitOfWork,
    clock: FixedClock,
) -> Rig:
    follow(clock, sandbox)
    return Rig(sandbox, proxy, settings, engine, unit_of_work, clock)


def test_after_a_month_of_business_nothing_differs(rig: Rig, session: Session, clock: FixedClock) -> None:
    customer = rig.sandbox.paying_customer(email="a@example.com")
    subscription = rig.sandbox.subscribe(customer, rig.sandbox.monthly_price())
    rig.sandbox.control("clock", {"to": subscription["items"]["data"][0]["current_period_end"] + 3700})
    charges = rig.sandbox.listed("charges")
    rig.sandbox.api("POST", "refunds", charge=charges[0]["id"], amount=100)
    follow(clock, rig.sandbox)
    rig.bring()
    ended = rig.reconcile(Scope())
    assert (ended.status, ended.differing) == ("done", 0), rows(
        session, "SELECT * FROM billing_reconciliation_differences"
    )
    assert ended.compared == sum(
        len(rig.sandbox.listed(path))
        for path in (
            *("customers", "products", "prices", "subscriptions", "invoices", "invoiceitems", "invoice_payments"),
            *("setup_intents", "payment_intents", "charges", "refunds", "disputes", "billing/meters", "coupons"),
        )
    )
    assert rows(session, "SELECT count(*) FROM billing_reconciliation_seen") == [(0,)]


def test_lost_events_are_found_healed_and_gone_in_the_next_run(rig: Rig, session: Session) -> None:
    changed = rig.sandbox.api("POST", "customers", email="before@example.com")["id"]
    deleted = rig.sandbox.api("POST", "customers", email="leaves@example.com")["id"]
    kept = rig.sandbox.api("POST", "customers", email="same@example.com")["id"]
    rig.bring()
    rig.later()
    rig.sandbox.api("POST", f"customers/{changed}", email="after@example.com", metadata={"plan": "pro"})
    rig.sandbox.api("DELETE", f"customers/{deleted}")
    unknown = rig.sandbox.api("POST", "customers", email="new@example.com")["id"]
    rig.lose_events()
    rig.later()

    first = rig.reconcile()
    assert (first.status, first.differing, first.healed) == ("done", 3, 0)
    fields = "SELECT fields FROM billing_reconciliation_differences WHERE object_key = :key"
    assert rows(session, fields, key=f"/customer/{changed}") == [
        (
            {
                "email": {"stripe": "***", "here": "***"},
                "metadata.plan": {"stripe": "***", "here": None},
            },
        )
    ]
    assert rig.heal() == 3
    assert rows(session, DIFFERENCES) == sorted(
        [(changed, "differs", True), (deleted, "differs", True), (unknown, "missing_here", True)]
    )
    mirror = "SELECT id, email, deleted_at IS NOT NULL FROM billing_customers ORDER BY id"
    assert rows(session, mirror) == sorted(
        [
            (changed, "after@example.com", False),
            (deleted, rows(session, "SELECT email FROM billing_customers WHERE id = :id", id=deleted)[0][0], True),
            (kept, "same@example.com", False),
            (unknown, "new@example.com", False),
        ]
    )
    second = rig.reconcile()
    assert (second.status, second.differing) == ("done", 0)


def test_what_stripe_no_longer_knows_is_reported_and_kept(rig: Rig, session: Session) -> None:
    customer = rig.sandbox.api("POST", "customers")["id"]
    rig.sandbox.api("POST", "invoiceitems", customer=customer, amount=100, currency="usd")
    draft = rig.sandbox.api("POST", "invoices", customer=customer)["id"]
    rig.bring()
    rig.sandbox.api("DELETE", f"invoices/{draft}")
    rig.lose_events()
    rig.later()
    ended = rig.reconcile(Scope(types=("invoice",)))
    assert (ended.compared, ended.differing) == (0, 1)
    assert rows(session, DIFFERENCES) == [(draft, "missing_at_stripe", False)]
    assert rows(session, "SELECT deleted_at FROM billing_invoices WHERE id = :id", id=draft) == [(None,)]


def test_an_object_whose_events_still_wait_is_no_difference(rig: Rig, session: Session) -> None:
    customer = rig.sandbox.api("POST", "customers", email="before@example.com")["id"]
    rig.bring()
    rig.sandbox.api("POST", f"customers/{customer}", email="after@example.com")
    from_stripe = [event for event in rig.sandbox.listed("events") if event["id"] not in rig.known]
    store(rig.engine, from_stripe, rig.unit_of_work.now())
    assert rig.reconcile().differing == 0
    assert rows(session, "SELECT count(*) FROM billing_webhook_events WHERE source = 'reconcile'") == [(0,)]


def test_a_rate_limited_run_is_incomplete_and_goes_on_where_it_stopped(rig: Rig, session: Session) -> None:
    for number in range(7):
        rig.sandbox.api("POST", "customers", email=f"{number}@example.com")
    scope = Scope(types=("customer",), batch_size=2)
    rig.proxy.read_faults[:] = ["none", "none"]
    rig.proxy.read_faults.extend("too_many" for _ in range(rig.retries + 1))
    with pytest.raises(ReconciliationIncompleteError, match="--resume"):
        rig.reconcile(scope)
    assert rows(session, RUNS) == [("incomplete", 4, 4, 0)]
    session.rollback()
    rows(session, "UPDATE billing_reconciliation_runs SET status = 'running' RETURNING id")
    session.commit()
    with pytest.raises(ReconciliationBusyError, match="is running"):
        rig.reconcile(scope)
    rows(session, "UPDATE billing_reconciliation_runs SET heartbeat_at = '2026-01-01' RETURNING id")
    session.commit()
    ended = rig.reconcile(scope, must_resume=True)
    assert (ended.status, ended.compared, ended.differing) == ("done", 7, 7)
    assert rig.heal() == 7
    session.rollback()
    assert rows(session, RUNS) == [("done", 7, 7, 7)]
    with pytest.raises(NothingToResumeError):
        rig.reconcile(scope, must_resume=True)


def test_a_snapshot_never_overwrites_a_newer_event(rig: Rig, session: Session) -> None:
    customer = rig.sandbox.api("POST", "customers", email="old@example.com")["id"]
    rig.lose_events()
    assert rig.reconcile().differing == 1
    rig.sandbox.api("POST", f"customers/{customer}", email="newer@example.com")
    rig.bring()
    assert rows(session, "SELECT email FROM billing_customers") == [("newer@example.com",)]
    assert rig.reconcile().differing == 0


def test_the_scope_of_a_run_bounds_what_is_compared(rig: Rig, session: Session, clock: FixedClock) -> None:
    rig.sandbox.api("POST", "customers", email="early@example.com")
    rig.sandbox.advance(days=10)
    middle = rig.sandbox.now()
    late = rig.sandbox.api("POST", "customers", email="late@example.com")["id"]
    follow(clock, rig.sandbox)
    ended = rig.reconcile(Scope(types=("customer",), start=middle - timedelta(days=1)))
    assert (ended.compared, ended.differing) == (1, 1)
    assert rows(session, DIFFERENCES) == [(late, "missing_here", False)]


def test_a_snapshot_of_the_same_second_heals_nothing_and_the_next_run_does(rig: Rig, session: Session) -> None:
    customer = rig.sandbox.api("POST", "customers", email="before@example.com")["id"]
    rig.bring()
    # The sandbox's clock stands on the second of the creation for the reader: the row claims that very second.
    session.rollback()
    rows(session, "UPDATE billing_customers SET version = version + interval '10 seconds' RETURNING id")
    rows(session, "UPDATE billing_webhook_events SET created = created + interval '10 seconds' RETURNING id")
    session.commit()
    rig.sandbox.api("POST", f"customers/{customer}", email="after@example.com")
    rig.lose_events()
    assert rig.reconcile().differing == 1
    assert rig.heal() == 0
    assert rows(session, "SELECT email FROM billing_customers") == [("before@example.com",)]
    rig.later()
    assert rig.reconcile().differing == 1
    assert rig.heal() == 1
    assert rows(session, "SELECT email FROM billing_customers") == [("after@example.com",)]


def test_a_comparison_that_shall_not_heal_only_tells(rig: Rig, session: Session) -> None:
    customer = rig.sandbox.api("POST", "customers")["id"]
    rig.lose_events()
    rig.later()
    assert rig.reconcile(Scope(types=("customer",), heals=False)).differing == 1
    assert rig.heal() == 0
    assert rows(session, DIFFERENCES) == [(customer, "missing_here", False)]
    assert rows(session, "SELECT count(*) FROM billing_webhook_events") == [(0,)]


def test_an_erased_customer_does_not_come_back(rig: Rig, session: Session) -> None:
    customer = rig.sandbox.api("POST", "customers", email="erased@example.com")["id"]
    rig.lose_events()
    rig.later()
    rows(
        session,
        "INSERT INTO billing_erasures (customer_id, erased_at, reason) VALUES (:id, now(), 'asked') RETURNING 1",
        id=customer,
    )
    session.commit()
    ended = rig.reconcile()
    assert (ended.compared, ended.differing) == (1, 0)
    assert rows(session, "SELECT count(*) FROM billing_webhook_events") == [(0,)]
