"""List the tax rates there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.mirror.objects import list_objects
from billing_worker.stripe_gateway.client import PAGE_LIMIT, StripeGateway
from billing_worker.stripe_gateway.errors import RateLimited, StripeUnavailable


@dataclass(frozen=True, slots=True)
class TaxRates:
    """Tax rates; `why_mirror` says why they are the mirror's instead of Stripe's."""

    rates: list[Mapping[str, Any]]
    why_mirror: str = ""


def list_tax_rates(
    unit_of_work: UnitOfWork, gateway: StripeGateway, *, only_active: bool, limit: int, may_degrade: bool
) -> TaxRates:
    """Read Stripe's tax rates page by page, or the mirror's when Stripe is away and that is allowed.

    Raises: StripeUnavailable, RateLimited where it may not degrade; StripeKeyRejected.
    """
    params = {"active": True} if only_active else {}
    rates: list[Mapping[str, Any]] = []
    try:
        while True:
            after = rates[-1]["id"] if rates else None
            size = min(PAGE_LIMIT, limit - len(rates))
            page = gateway.list_page("tax_rates", params=params, starting_after=after, limit=size)
            rates.extend(page.data)
            if not page.has_more or len(rates) >= limit:
                return TaxRates(rates)
    except (StripeUnavailable, RateLimited) as error:
        if not may_degrade:
            raise
        with unit_of_work.transaction() as session:
            found = list_objects(session, "tax_rate", where=params, limit=limit)
        return TaxRates([one.data for one in found], str(error))
