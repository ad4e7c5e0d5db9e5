"""Make customers, subscriptions and invoices in numbers."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.seeds.client import MARK, SeedClient
from billing_worker.seeds.services.seed_prices import seed_prices
from billing_worker.seeds.story import PLANS

TEST_DATA = "test-data"
"""The mark of what is made in numbers."""
_CARDS = ("pm_card_visa", "pm_card_mastercard", "pm_card_amex", "pm_card_discover")


class NoCustomersError(InvalidValueError):
    """Subscriptions and invoices need customers."""


def create_test_data(
    client: SeedClient, *, customers: int, subscriptions: int, invoices: int, tell: Callable[[str], None]
) -> dict[str, int]:
    """Make customers, and spread subscriptions and paid invoices over them; every call makes new ones.

    Raises: NoCustomersError.
    """
    if customers == 0 and (subscriptions or invoices):
        raise NoCustomersError("subscriptions and invoices need customers: for example --customers 10")
    run = secrets.token_hex(3)
    ids = [
        client.make_customer(f"test-{run}-{number + 1}", _CARDS[number % len(_CARDS)], TEST_DATA)
        for number in range(customers)
    ]
    tell(f"{len(ids)} customers")
    if subscriptions:
        _, prices = seed_prices(client)
        for number in range(subscriptions):
            price = prices[PLANS[number % len(PLANS)].name]
            given = {"customer": ids[number % len(ids)], "items": [{"price": price}], "metadata": {MARK: TEST_DATA}}
            client.change("subscriptions.create", given)
        tell(f"{subscriptions} subscriptions")
    for number in range(invoices):
        client.make_invoice(ids[number % len(ids)], 500 + 100 * number, TEST_DATA, pays=True, by_mail=False)
    return {"customers": customers, "subscriptions": subscriptions, "invoices": invoices}
