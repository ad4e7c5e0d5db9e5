"""What is stored of products and prices."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from billing_worker.domains.catalog.rules import is_overage_price
from billing_worker.mirror.objects import MirroredObject, list_objects

SCANNED = 10_000
"""A catalog is small; overage prices are told apart here, not in SQL."""


def list_prices(
    session: Session,
    *,
    product_id: str | None = None,
    only_overage: bool = False,
    only_active: bool = False,
    limit: int,
) -> Sequence[MirroredObject]:
    """Return mirrored prices, the last changed first."""
    where: dict[str, object] = {} if product_id is None else {"product_id": product_id}
    if only_active:
        where["active"] = True
    found = list_objects(session, "price", where=where, limit=SCANNED if only_overage else limit)
    return [price for price in found if not only_overage or is_overage_price(price.data)][:limit]
