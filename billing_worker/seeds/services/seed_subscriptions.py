"""Seed the subscriptions that are missing, with the customers and prices they need."""

from __future__ import annotations

from typing import Any

from billing_worker.seeds.client import MARK, SeedClient, Tally
from billing_worker.seeds.services.seed_customers import seed_customers
from billing_worker.seeds.services.seed_prices import seed_prices
from billing_worker.seeds.story import PEOPLE, SEED, Person


def seed_subscriptions(client: SeedClient) -> Tally:
    """Seed the subscriptions that are missing, with the customers and prices they need.

    Idempotent by: the mark in the metadata, one subscription per customer.
    """
    _, customers = seed_customers(client)
    _, prices = seed_prices(client)
    subscribed = {
        str(subscription["customer"])
        for subscription in client.walk_marked("subscriptions")
        if subscription["metadata"][MARK] == SEED
    }
    missing = [person for person in PEOPLE if customers[person.name] not in subscribed]
    for person in missing:
        client.change("subscriptions.create", _parameters(person, customers[person.name], prices[person.plan]))
    return Tally(created=len(missing), found=len(PEOPLE) - len(missing))


def _parameters(person: Person, customer: str, price: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {"customer": customer, "items": [{"price": price}], "metadata": {MARK: SEED}}
    if person.trial_days:
        parameters["trial_period_days"] = person.trial_days
    if person.card is None:
        parameters |= {"collection_method": "send_invoice", "days_until_due": 14}
    return parameters
