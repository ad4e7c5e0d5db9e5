"""Seed the customers that are missing."""

from __future__ import annotations

from billing_worker.seeds.client import MARK, SeedClient, Tally
from billing_worker.seeds.story import PEOPLE, SEED


def seed_customers(client: SeedClient) -> tuple[Tally, dict[str, str]]:
    """Seed the customers that are missing, and give everybody's id by name.

    Idempotent by: the mark and the user id in the metadata.
    """
    known = {
        str(customer["metadata"].get("user_id", "")).removeprefix(f"{SEED}-"): str(customer["id"])
        for customer in client.walk_marked("customers")
        if customer["metadata"][MARK] == SEED
    }
    missing = [person for person in PEOPLE if person.name not in known]
    made = {person.name: client.make_customer(person.name, person.card, SEED) for person in missing}
    return Tally(created=len(made), found=len(PEOPLE) - len(made)), known | made
