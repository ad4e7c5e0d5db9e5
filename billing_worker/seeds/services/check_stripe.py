"""Prove with a handful of calls that Stripe, or the sandbox in its place, does what billing needs of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from billing_worker.kernel.errors import TerminalError
from billing_worker.seeds.client import MARK, SeedClient
from billing_worker.stripe_gateway.errors import CardDeclined

_CHECK = "check"
_AMOUNT_MINOR = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried."""

    step: str
    passed: bool
    evidence: str


def check_stripe(client: SeedClient) -> list[Step]:
    """Create a customer, subscribe, pay, be declined, read the events of it, and take all of it away again.

    Shape: a step that fails ends the check; the clean-up is always tried.
    """
    made: dict[str, str] = {}
    steps: list[Step] = []
    try:
        for name, act in _ACTS:
            steps.append(_tried(name, act, client, made))
            if not steps[-1].passed:
                break
    finally:
        steps += _clean_up(client, made)
    return steps


Act = Callable[[SeedClient, dict[str, str]], str]


def _tried(name: str, act: Act, client: SeedClient, made: dict[str, str]) -> Step:
    try:
        return Step(name, passed=True, evidence=act(client, made))
    except TerminalError as error:
        return Step(name, passed=False, evidence=str(error))


class _UnexpectedAnswerError(TerminalError):
    """Stripe answered something else than it should."""


def _join(client: SeedClient, made: dict[str, str]) -> str:
    made["customer"] = client.make_customer("checker", "pm_card_visa", _CHECK)
    return made["customer"]


def _offer(client: SeedClient, made: dict[str, str]) -> str:
    product = client.change("products.create", {"name": "Check", "metadata": {MARK: _CHECK}})
    made["product"] = str(product["id"])
    price = {
        "product": product["id"],
        "currency": "usd",
        "unit_amount": _AMOUNT_MINOR,
        "recurring": {"interval": "month"},
        "metadata": {MARK: _CHECK},
    }
    made["price"] = str(client.change("prices.create", price)["id"])
    return made["price"]


def _subscribe(client: SeedClient, made: dict[str, str]) -> str:
    given: dict[str, Any] = {"customer": made["customer"], "items": [{"price": made["price"]}]}
    subscription = client.change("subscriptions.create", given | {"metadata": {MARK: _CHECK}})
    return _expect("the subscription's status", subscription["status"], "active")


def _paid(client: SeedClient, made: dict[str, str]) -> str:
    invoices = list(client.walk("invoices", customer=made["customer"]))
    return _expect("invoices", [(each["status"], each["amount_paid"]) for each in invoices], [("paid", _AMOUNT_MINOR)])


def _declined(client: SeedClient, _: dict[str, str]) -> str:
    payment = {
        "amount": _AMOUNT_MINOR,
        "currency": "usd",
        "confirm": True,
        "payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds",
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }
    try:
        client.change("payment_intents.create", payment)
    except CardDeclined as declined:
        return _expect("the decline", declined.decline_code, "insufficient_funds")
    raise _UnexpectedAnswerError("a card without funds was charged")


def _events(client: SeedClient, made: dict[str, str]) -> str:
    types = ["customer.created", "customer.subscription.created", "invoice.paid"]
    found = {
        event["type"]
        for event in client.walk("events", types=types)
        if made["customer"] in {event["data"]["object"]["id"], event["data"]["object"].get("customer")}
    }
    return _expect("events", sorted(found), types)


_ACTS: tuple[tuple[str, Act], ...] = (
    ("a customer with a card", _join),
    ("a price", _offer),
    ("a subscription", _subscribe),
    ("its first invoice is paid", _paid),
    ("a card without funds is declined", _declined),
    ("the events of it", _events),
)


def _expect(what: str, found: object, wanted: object) -> str:
    if found != wanted:
        raise _UnexpectedAnswerError(f"{what}: {found}, not {wanted}")
    return str(found)


def _clean_up(client: SeedClient, made: dict[str, str]) -> Iterator[Step]:
    for kind, operation, params in (
        ("customer", "customers.delete", {}),
        ("price", "prices.update", {"active": False}),
        ("product", "products.update", {"active": False}),
    ):
        if kind in made:
            yield _tried(f"the {kind} is gone", lambda c, m: _end(c, operation, params, m[kind]), client, made)  # noqa: B023 - called at once


def _end(client: SeedClient, operation: str, params: dict[str, bool], object_id: str) -> str:
    client.change(operation, params, id=object_id)
    return object_id
