"""What fetching asks of the gateway."""

from __future__ import annotations

from typing import Protocol

from billing_worker.stripe_gateway.client import Retrieved


class Retrieving(Protocol):
    """The one call fetching makes of the gateway."""

    def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
        """Read one object at Stripe."""
        ...
