"""Seed the catalogue that is missing."""

from __future__ import annotations

from billing_worker.seeds.client import MARK, SeedClient, Tally
from billing_worker.seeds.story import PLANS, SEED, Plan


def seed_prices(client: SeedClient) -> tuple[Tally, dict[str, str]]:
    """Seed the prices that are missing, put cleared ones on sale again, and give everybody's id by plan.

    Idempotent by: the price's lookup key.
    """
    keys = [plan.lookup_key for plan in PLANS]
    known = {str(price["lookup_key"]): price for price in client.walk("prices", lookup_keys=keys)}
    ids, created = {}, 0
    for plan in PLANS:
        price = known.get(plan.lookup_key)
        if price is None:
            ids[plan.name] = _make(client, plan)
            created += 1
            continue
        ids[plan.name] = str(price["id"])
        if not price["active"]:
            client.change("products.update", {"active": True}, id=str(price["product"]))
            client.change("prices.update", {"active": True}, id=str(price["id"]))
    return Tally(created=created, found=len(PLANS) - created), ids


def _make(client: SeedClient, plan: Plan) -> str:
    metadata = {MARK: SEED}
    product = client.change("products.create", {"name": plan.name.capitalize(), "metadata": metadata})
    price = {
        "product": product["id"],
        "currency": "usd",
        "unit_amount": plan.amount_minor,
        "recurring": {"interval": plan.interval},
        "lookup_key": plan.lookup_key,
        "metadata": metadata,
    }
    return str(client.change("prices.create", price)["id"])
