"""Find why a payment method, payment intent or charge was declined last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.payment_methods.queries import DeclineSeen, find_last_decline
from billing_worker.kernel.clock import from_unix
from billing_worker.stripe_gateway.client import StripeGateway

LOOKED_AT = 100
"""A page: who looks for a decline means one of the customer's last payments."""


def find_decline(unit_of_work: UnitOfWork, gateway: StripeGateway, object_id: str) -> DeclineSeen | None:
    """Return the last decline that the mirror knows of, else the one that Stripe shows.

    Phases: read; call, only where the mirror knows of none.
    Raises: StripeNotFound for an id that Stripe does not have; StripeUnavailable, RateLimited, StripeKeyRejected.
    """
    with unit_of_work.transaction() as session:
        seen = find_last_decline(session, object_id)
    if seen is not None:
        return seen
    if object_id.startswith("pm_"):
        customer = gateway.retrieve("payment_method", object_id).data.get("customer")
        if customer is None:
            return None
        charges = gateway.list_page("charges", params={"customer": customer}, limit=LOOKED_AT).data
        failed = (one for one in charges if one["status"] == "failed" and one.get("payment_method") == object_id)
        found = next(failed, None)
    elif object_id.startswith("pi_"):
        charges = gateway.list_page("charges", params={"payment_intent": object_id}, limit=LOOKED_AT).data
        found = next((one for one in charges if one["status"] == "failed"), None)
    else:
        found = gateway.retrieve("charge", object_id).data
    return _seen(found) if found and found.get("failure_code") else None


def _seen(charge: Mapping[str, Any]) -> DeclineSeen:
    return DeclineSeen(
        code=str((charge.get("outcome") or {}).get("reason") or charge["failure_code"]),
        failed_at=from_unix(charge["created"]),
        charge_id=charge["id"],
        payment_intent_id=charge.get("payment_intent"),
        customer_id=charge.get("customer"),
        bank_says=charge.get("failure_message"),
    )
