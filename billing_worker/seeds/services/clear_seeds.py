"""Remove what was made here."""

from __future__ import annotations

from billing_worker.seeds.client import SeedClient


def clear_seeds(client: SeedClient) -> dict[str, int]:
    """Remove what was made here, customers with their subscriptions first, and give the counts.

    Shape: Stripe keeps finalised invoices, so open ones are voided; prices and products can only be archived.
    """
    counts = {"customers_deleted": 0, "invoices_voided": 0, "prices_archived": 0, "products_archived": 0}
    for customer in list(client.walk_marked("customers")):
        for invoice in list(client.walk("invoices", customer=customer["id"], status="open")):
            client.change("invoices.void", id=str(invoice["id"]))
            counts["invoices_voided"] += 1
        client.change("customers.delete", id=str(customer["id"]))
        counts["customers_deleted"] += 1
    for kind in ("prices", "products"):
        for found in list(client.walk_marked(kind, active=True)):
            client.change(f"{kind}.update", {"active": False}, id=str(found["id"]))
            counts[f"{kind}_archived"] += 1
    return counts
