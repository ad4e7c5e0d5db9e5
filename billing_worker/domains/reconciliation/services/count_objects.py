"""Count objects here and at Stripe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.reconciliation.queries import count_mirrored
from billing_worker.domains.reconciliation.rules import Scope
from billing_worker.mirror.registry import REGISTRY
from billing_worker.stripe_gateway.client import StripeGateway


@dataclass(frozen=True, slots=True)
class Counted:
    """How many objects of a type there are on each side."""

    name: str
    here: int
    at_stripe: int


def count_objects(unit_of_work: UnitOfWork, gateway: StripeGateway, *, types: Sequence[str]) -> list[Counted]:
    """Count each type's rows here, and its objects at Stripe by reading its whole list.

    Raises: RateLimited, StripeUnavailable, StripeKeyRejected.
    """
    with unit_of_work.transaction() as session:
        here = count_mirrored(session)
    return [Counted(name, here[name], _count_at_stripe(gateway, name)) for name in types]


def _count_at_stripe(gateway: StripeGateway, name: str) -> int:
    counted, after = 0, None
    params = Scope(types=(name,)).list_params(name)
    while True:
        page = gateway.list_page(str(REGISTRY[name].path), params=params, starting_after=after)
        counted += len(page.data)
        if not page.has_more or not page.data:
            return counted
        after = page.data[-1]["id"]
