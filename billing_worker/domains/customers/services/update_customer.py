"""Change a customer at Stripe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change


def update_customer(door: ChangeDoor, customer_id: str, fields: Mapping[str, Any]) -> Changed:
    """Change a customer's fields; an empty text clears one.

    Raises: what make_change raises.
    """
    return make_change(door, Change("customers.update", fields, object_id=customer_id, customer_id=customer_id))
