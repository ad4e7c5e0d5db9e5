"""Count what was made here and is still at Stripe."""

from __future__ import annotations

from collections import Counter

from billing_worker.seeds.client import MARK, SeedClient

KINDS = ("customers", "subscriptions", "invoices", "prices")


def count_seeds(client: SeedClient) -> list[dict[str, object]]:
    """Count what was made here and is still at Stripe, by kind and mark; archived prices are not counted."""
    rows: list[dict[str, object]] = []
    for kind in KINDS:
        marked = (found["metadata"][MARK] for found in client.walk_marked(kind) if found.get("active", True))
        counted = Counter(marked)
        rows += [{"kind": kind, "made_by": mark, "count": count} for mark, count in sorted(counted.items())]
    return rows
