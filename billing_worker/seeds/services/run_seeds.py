"""Seed everything that is missing."""

from __future__ import annotations

from billing_worker.seeds.client import SeedClient, Tally
from billing_worker.seeds.services.seed_customers import seed_customers
from billing_worker.seeds.services.seed_invoices import seed_invoices
from billing_worker.seeds.services.seed_prices import seed_prices
from billing_worker.seeds.services.seed_subscriptions import seed_subscriptions


def run_seeds(client: SeedClient) -> dict[str, Tally]:
    """Seed everything that is missing, and say by kind how much that was."""
    prices, _ = seed_prices(client)
    customers, _ = seed_customers(client)
    return {
        "prices": prices,
        "customers": customers,
        "subscriptions": seed_subscriptions(client),
        "invoices": seed_invoices(client),
    }
