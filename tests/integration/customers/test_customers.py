"""Users and their customers, trials, and signs of fraud, on rows that the drain has written."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.customers.errors import CustomerTakenError, UserTakenError
from billing_worker.domains.customers.queries.links import count_marked_customers
from billing_worker.domains.customers.services.audit_customers import audit_customers
from billing_worker.domains.customers.services.check_trial_eligibility import check_trial_eligibility
from billing_worker.domains.customers.services.link_customer import link_customer
from billing_worker.domains.customers.services.link_marked_customers import link_marked_customers
from billing_worker.domains.payment_methods.queries import find_last_decline
from billing_worker.domains.subscriptions.services.grant_access import grant_access
from billing_worker.domains.subscriptions.services.recompute_access import recompute_access
from billing_worker.domains.subscriptions.services.revoke_access import revoke_access
from billing_worker.domains.subscriptions.states import Access
from billing_worker.routing.table import DISPATCHER
from tests.support.deliveries import EPOCH, customer, drain, event, rows, store, subscription

LINKS = "SELECT user_id, customer_id, linked_by FROM billing_customer_users ORDER BY user_id"


class Shop:
    """Brings events in as Stripe's deliveries come."""

    def __init__(self, engine: Engine, unit_of_work: UnitOfWork) -> None:
        self.engine, self.unit_of_work = engine, unit_of_work

    def take(self, *events: tuple[str, dict[str, Any]]) -> None:
        made = [event(kind, obj, created=EPOCH + second) for second, (kind, obj) in enumerate(events)]
        store(self.engine, made, self.unit_of_work.now())
        assert drain(self.unit_of_work, DISPATCHER) == len(made)


@pytest.fixture
def shop(engine: Engine, unit_of_work: UnitOfWork) -> Shop:
    return Shop(engine, unit_of_work)


def test_customers_are_linked_with_the_users_that_their_metadata_name(
    shop: Shop, unit_of_work: UnitOfWork, session: Session
) -> None:
    shop.take(
        ("customer.created", customer("cus_1", metadata={"user_id": "ann"})),
        ("customer.created", customer("cus_2", metadata={"user_id": "ann"})),
        ("customer.created", customer("cus_3")),
    )
    with unit_of_work.transaction() as own:
        assert count_marked_customers(own, unit_of_work.now()) == 2
    assert link_marked_customers(unit_of_work) == {"linked": 1, "taken": 1}
    assert link_marked_customers(unit_of_work) == {}
    assert rows(session, LINKS) == [("ann", "cus_1", "metadata.user_id")]
    shop.take(("customer.deleted", customer("cus_1", metadata={"user_id": "ann"}, deleted=True)))
    with unit_of_work.transaction() as own:
        assert link_customer(own, customer_id="cus_2", user_id="ann", linked_by="op", now=unit_of_work.now())
    assert rows(session, LINKS) == [("ann", "cus_2", "op")]


def test_a_user_has_one_customer_and_a_customer_one_user(unit_of_work: UnitOfWork, session: Session) -> None:
    def link(customer_id: str, user_id: str) -> bool:
        with unit_of_work.transaction() as own:
            return link_customer(own, customer_id=customer_id, user_id=user_id, linked_by="op", now=unit_of_work.now())

    assert (link("cus_1", "ann"), link("cus_1", "ann")) == (True, False)
    with pytest.raises(UserTakenError, match="cus_1 already"):
        link("cus_2", "ann")
    with pytest.raises(CustomerTakenError, match="user ann already"):
        link("cus_1", "bob")
    assert rows(session, LINKS) == [("ann", "cus_1", "op")]


def test_a_revocation_outlasts_the_subscriptions_until_it_is_ended(
    shop: Shop, unit_of_work: UnitOfWork, session: Session
) -> None:
    shop.take(("customer.subscription.created", subscription()))
    recompute_access(unit_of_work)
    now = unit_of_work.now()
    with unit_of_work.transaction() as own:
        first = revoke_access(own, "cus_1", by="ann@host", reason="fraud", now=now)
        again = revoke_access(own, "cus_1", by="bob@host", reason="other", now=now)
    assert (first.access, again.overridden_by, again.override_reason) == (Access.REVOKED, "ann@host", "fraud")
    shop.take(("customer.subscription.updated", subscription(quantity=2)))
    recompute_access(unit_of_work)
    assert rows(session, "SELECT access FROM billing_customer_access") == [("revoked",)]
    with unit_of_work.transaction() as own:
        granted = grant_access(own, "cus_1", now=now)
    assert (granted.access, granted.subscription_id, granted.overridden_by) == (Access.GRANTED, "sub_1", None)


def test_a_trial_is_given_once_to_a_user_and_mail_address(shop: Shop, session: Session) -> None:
    used = {"trial_start": EPOCH, "trial_end": EPOCH + 86_400}
    shop.take(
        ("customer.created", customer("cus_1", email="Ann@example.com", metadata={"user_id": "ann"})),
        ("customer.created", customer("cus_2", email="ann@example.com")),
        ("customer.created", customer("cus_3", metadata={"user_id": "ann"})),
        ("customer.created", customer("cus_4", email="bob@example.com")),
        ("customer.subscription.deleted", subscription("sub_1", status="canceled", **used)),
    )
    said = {name: check_trial_eligibility(session, name) for name in ("cus_1", "cus_2", "cus_3", "cus_4")}
    assert {name: found.is_eligible for name, found in said.items()} == {
        **dict.fromkeys(("cus_1", "cus_2", "cus_3"), False),
        "cus_4": True,
    }
    assert [said[name].trials[0].why for name in ("cus_1", "cus_2", "cus_3")] == [
        "the customer itself",
        "the same mail address",
        "the same user",
    ]


def charge(number: int, customer_id: str = "cus_1", **fields: Any) -> dict[str, Any]:
    base = {"id": f"ch_{number}", "object": "charge", "status": "failed", "amount": 500, "currency": "usd"}
    return {**base, "created": EPOCH + number, "customer": customer_id, "payment_method": f"pm_{number}", **fields}


def test_signs_of_fraud_are_found_with_their_evidence(shop: Shop, session: Session) -> None:
    good = charge(1, "cus_good", status="succeeded")
    shop.take(
        ("charge.succeeded", good),
        *(("charge.failed", charge(number, "cus_tester")) for number in range(10, 15)),
        *(("charge.failed", charge(number, "cus_clumsy", payment_method="pm_x")) for number in range(20, 25)),
        ("charge.failed", charge(30, "cus_thief", failure_code="card_declined", outcome={"reason": "stolen_card"})),
        ("charge.succeeded", charge(40, "cus_victim", status="succeeded", outcome={"risk_level": "highest"})),
        (
            "charge.dispute.created",
            {
                "id": "dp_1",
                "object": "dispute",
                "charge": "ch_40",
                "status": "needs_response",
                "amount": 500,
                "currency": "usd",
                "reason": "fraudulent",
            },
        ),
    )
    suspects = {suspect.customer_id: suspect for suspect in audit_customers(session)}
    assert {name: [(sign.rule, sign.evidence) for sign in one.signs] for name, one in suspects.items()} == {
        "cus_victim": [("fraudulent_dispute", "dp_1"), ("elevated_risk", "ch_40")],
        "cus_tester": [("card_testing", "ch_14")],
        "cus_thief": [("stolen_card", "ch_30")],
    }
    declined = find_last_decline(session, "pm_30")
    assert declined is not None
    assert (declined.code, declined.charge_id, declined.customer_id) == ("stolen_card", "ch_30", "cus_thief")
    assert find_last_decline(session, "pm_1") is None


def test_nobody_is_suspected_of_nothing(shop: Shop, session: Session) -> None:
    shop.take(("customer.created", customer("cus_1", address={"country": "US"})))
    assert audit_customers(session) == []
