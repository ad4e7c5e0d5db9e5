"""Hold an object of the mirror against Stripe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.mirror.compare import compare_snapshots
from billing_worker.mirror.objects import find_object
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.stripe_gateway.errors import StripeNotFound


@dataclass(frozen=True, slots=True)
class ObjectComparison:
    """What both sides have; `differences` maps field paths to (at Stripe, here)."""

    is_here: bool
    is_at_stripe: bool
    differences: Mapping[str, tuple[Any, Any]]

    @property
    def is_equal(self) -> bool:
        """Say whether both sides have the same."""
        return self.is_here and self.is_at_stripe and not self.differences


def compare_object(
    unit_of_work: UnitOfWork, gateway: StripeGateway, object_type: str, object_id: str
) -> ObjectComparison:
    """Read an object at Stripe, never from a cache, and compare it with the mirror's.

    Phases: call; read.
    Raises: StripeUnavailable, RateLimited, StripeKeyRejected, StripeRefused.
    """
    try:
        at_stripe = gateway.retrieve(object_type, object_id).data
    except StripeNotFound:
        at_stripe = {}
    with unit_of_work.transaction() as session:
        mirrored = find_object(session, object_type, object_id)
    here = {} if mirrored is None or mirrored.deleted_at is not None else mirrored.data
    is_there = bool(at_stripe) and not at_stripe.get("deleted")
    differences = compare_snapshots(object_type, at_stripe, here) if is_there and here else {}
    return ObjectComparison(bool(here), is_there, differences)
