"""Create a product at Stripe."""

from __future__ import annotations

from collections.abc import Mapping

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change


def create_product(
    door: ChangeDoor, *, name: str, description: str | None = None, metadata: Mapping[str, str] | None = None
) -> Changed:
    """Create a product.

    Raises: what make_change raises.
    """
    body = {"name": name, "description": description, "metadata": dict(metadata) if metadata else None}
    return make_change(door, Change("products.create", body))
