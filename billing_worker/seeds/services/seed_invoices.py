"""Seed the one-off invoices that are missing, with the customers they need."""

from __future__ import annotations

from billing_worker.seeds.client import MARK, SeedClient, Tally
from billing_worker.seeds.services.seed_customers import seed_customers
from billing_worker.seeds.story import INVOICE_MINOR, PEOPLE, SEED


def seed_invoices(client: SeedClient) -> Tally:
    """Seed the one-off invoices that are missing, with the customers they need.

    Idempotent by: the mark in the metadata, one invoice per customer.
    """
    _, customers = seed_customers(client)
    invoiced = {
        str(invoice["customer"]) for invoice in client.walk_marked("invoices") if invoice["metadata"][MARK] == SEED
    }
    missing = [person for person in PEOPLE if customers[person.name] not in invoiced]
    for person in missing:
        client.make_invoice(customers[person.name], INVOICE_MINOR, SEED, pays=person.pays, by_mail=person.card is None)
    return Tally(created=len(missing), found=len(PEOPLE) - len(missing))
