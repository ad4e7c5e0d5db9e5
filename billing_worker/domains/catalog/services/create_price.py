"""Create a price at Stripe."""

from __future__ import annotations

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.catalog.rules import PriceTerms, build_price


def create_price(door: ChangeDoor, product_id: str, terms: PriceTerms) -> Changed:
    """Create a price of a product; prices never change, so a mistake is archived and made anew.

    Raises: InvalidValueError for terms that contradict each other; what make_change raises.
    """
    return make_change(door, Change("prices.create", {"product": product_id, **build_price(terms)}))
