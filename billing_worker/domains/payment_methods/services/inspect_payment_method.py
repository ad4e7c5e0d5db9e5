"""Read a payment method at Stripe, with what the bank said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.mirror.objects import get_object
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.stripe_gateway.errors import RateLimited, StripeNotFound, StripeUnavailable


@dataclass(frozen=True, slots=True)
class InspectedMethod:
    """A payment method's details; `why_mirror` says why they are the mirror's instead of Stripe's."""

    data: Mapping[str, Any]
    has_expired: bool
    why_mirror: str = ""


def inspect_payment_method(
    unit_of_work: UnitOfWork, gateway: StripeGateway, payment_method_id: str, *, may_degrade: bool, today: date
) -> InspectedMethod:
    """Read a payment method, from the mirror when Stripe is away and that is allowed.

    Raises: NotMirroredError; StripeUnavailable, RateLimited where it may not degrade.
    """
    why = ""
    try:
        data: Mapping[str, Any] = gateway.retrieve("payment_method", payment_method_id, may_be_cached=True).data
    except (StripeUnavailable, RateLimited, StripeNotFound) as error:
        if not may_degrade and not isinstance(error, StripeNotFound):
            raise
        with unit_of_work.transaction() as session:
            data = get_object(session, "payment_method", payment_method_id).data
        why = str(error)
    card = data.get("card") or {}
    expires = (card.get("exp_year"), card.get("exp_month"))
    return InspectedMethod(data, None not in expires and expires < (today.year, today.month), why)
