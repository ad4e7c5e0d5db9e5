"""kill -9 between any two phases of a change leaves one object at Stripe and one row here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.changes.change import Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.catalog.rules import PriceTerms
from billing_worker.domains.catalog.services.create_price import create_price
from billing_worker.domains.catalog.services.create_product import create_product
from billing_worker.domains.customers.services.create_customer import create_customer
from billing_worker.domains.customers.services.set_tax_id import set_tax_id
from billing_worker.domains.invoices.services.create_invoice import create_invoice
from billing_worker.domains.payment_methods.services.attach_payment_method import attach_payment_method
from billing_worker.domains.subscriptions.services.create_subscription import Terms, create_subscription
from billing_worker.effects.services.create_intent import GRACE
from billing_worker.effects.services.rescue_intents import rescue_intents
from billing_worker.inbox.services.write_through import write_through
from billing_worker.kernel.clock import FixedClock
from billing_worker.routing.table import DISPATCHER
from billing_worker.runtime.settings import Settings
from billing_worker.switches.board import SwitchBoard
from tests.support.changes import POINTS, Victim, open_test_door
from tests.support.deliveries import drain, rows
from tests.support.stripe_sandbox import Sandbox, follow, gateway_to, run_sandbox

EXPIRE = text("UPDATE billing_intents SET lease_until = NULL")


@dataclass(frozen=True)
class Case:
    """One change; `made` lists what it makes at Stripe, `table` is where the mirror keeps it."""

    act: Callable[[ChangeDoor, Sandbox], Changed]
    made: Callable[[Sandbox], list[str]]
    table: str


def ids(path: str, **params: str) -> Callable[[Sandbox], list[str]]:
    return lambda sandbox: [str(found["id"]) for found in sandbox.listed(path, **params)]


@cache
def subscriber(sandbox: Sandbox) -> Terms:
    """Return what a paying customer subscribes to, the same in every process."""
    return Terms(customer_id=sandbox.paying_customer(), price_ids=(sandbox.monthly_price(),))


@cache
def somebody(sandbox: Sandbox) -> str:
    """Return a customer of this test alone."""
    return str(sandbox.api("POST", "customers")["id"])


@cache
def goods(sandbox: Sandbox) -> str:
    """Return what a price is made for."""
    return str(sandbox.api("POST", "products", name="Goods")["id"])


@pytest.fixture(autouse=True)
def _a_new_customer() -> None:
    somebody.cache_clear()


CASES = {
    "subscription": Case(
        lambda door, sandbox: create_subscription(door, subscriber(sandbox)), ids("subscriptions"), "subscriptions"
    ),
    "invoice": Case(
        lambda door, sandbox: create_invoice(door, subscriber(sandbox).customer_id), ids("invoices"), "invoices"
    ),
    "product": Case(lambda door, _: create_product(door, name="Gold"), ids("products"), "products"),
    "price": Case(
        lambda door, sandbox: create_price(door, goods(sandbox), PriceTerms("999", "usd", "month")),
        lambda sandbox: ids("prices", product=goods(sandbox))(sandbox),
        "prices",
    ),
    "customer": Case(
        lambda door, _: create_customer(door, fields={"email": "a@example.com"}, user_id="u1", created_by="test"),
        ids("customers"),
        "customers",
    ),
    "payment method": Case(
        lambda door, sandbox: attach_payment_method(
            door, payment_method_id="pm_card_visa", customer_id=somebody(sandbox)
        ),
        lambda sandbox: ids("payment_methods", customer=somebody(sandbox))(sandbox),
        "payment_methods",
    ),
    "tax id": Case(
        lambda door, sandbox: set_tax_id(door, somebody(sandbox), kind="us_ein", value="12-3456789"),
        lambda sandbox: ids(f"customers/{somebody(sandbox)}/tax_ids")(sandbox),
        "tax_ids",
    ),
}
"""A new change is proved by a line here."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


EVERY_DEATH = [*((point, "rescue") for point in POINTS), ("before_call", "command"), ("after_call", "command")]
WORST_DEATH = ("after_call", "rescue")
"""The phases are the door's, the same for every change; a change's own part is to be found at Stripe, unknown here."""


@pytest.mark.parametrize(
    ("name", "point", "again"),
    [
        *(("subscription", *death) for death in EVERY_DEATH),
        *((name, *WORST_DEATH) for name in CASES if name != "subscription"),
    ],
)
def test_kill_9_between_any_two_phases_leaves_one_object_and_one_row(
    name: str,
    point: str,
    again: str,
    sandbox: Sandbox,
    settings: Settings,
    unit_of_work: UnitOfWork,
    clock: FixedClock,
    session: Session,
) -> None:
    case = CASES[name]
    follow(clock, sandbox)
    gateway = gateway_to(sandbox, settings)
    reached = settings.model_copy(update={"stripe_api_base": sandbox.url})
    subscriber(sandbox)
    before = case.made(sandbox)
    Victim(reached, clock).die_at(point, lambda door: case.act(door, sandbox))
    # A dead worker's lease has run out, and what it left is due.
    with unit_of_work.transaction() as own:
        own.execute(EXPIRE)
    clock.advance(GRACE + timedelta(minutes=1))
    if again == "rescue":
        rescue_intents(unit_of_work, gateway, board=SwitchBoard(settings), sink=write_through)
        drain(unit_of_work, DISPATCHER)
    else:
        changed = case.act(open_test_door(settings, unit_of_work, gateway), sandbox)
        assert changed.is_mirrored
    [made] = [one for one in case.made(sandbox) if one not in before]
    assert rows(session, "SELECT status, stripe_id FROM billing_intents") == [("succeeded", made)]
    assert rows(session, f"SELECT id FROM billing_{case.table}") == [(made,)]  # noqa: S608 - a table of ours
