"""Changes that wait for their payment: `payment_behavior=pending_if_incomplete`."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, clone
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.changing import change_invoice, change_items, settle_now
from billing_worker.sandbox.engine.invoices import close_unpaid

_WAITS_SECONDS = 23 * 3600
"""Source: Stripe documentation, “Pending updates”: 23 hours."""
_KEPT = ("billing_cycle_anchor", "items", "plan", "quantity", "trial_end", "_billed_until")
SUPPORTED = frozenset(
    {"items", "payment_behavior", "proration_behavior", "proration_date", "billing_cycle_anchor", "trial_end", "expand"}
)
"""Source: Stripe documentation, “Pending updates reference”: what may wait."""


def change_when_paid(session: Session, subscription: Document, params: dict[str, Any]) -> None:
    """Make a change if its invoice is paid at once; else it waits as the subscription's `pending_update`.

    Raises: ApiError for parameters that cannot wait.
    """
    unsupported = sorted(params.keys() - SUPPORTED)
    if unsupported:
        raise invalid(
            "When `payment_behavior` is set to `pending_if_incomplete`, you can only pass parameters that pending "
            f"updates support: {unsupported[0]} is none.",
            param=unsupported[0],
        )
    before = clone(subscription)
    is_due, is_whole = change_items(session, subscription, params)
    if not is_due:
        session.tell_changes(subscription)
        return
    invoice = change_invoice(session, subscription, whole_period=is_whole)
    wanted = {name: clone(subscription[name]) for name in _KEPT}
    subscription |= {name: clone(before[name]) for name in _KEPT} | {"status": before["status"]}
    settle_now(session, subscription, invoice, {})
    if invoice["status"] == "paid":
        subscription |= wanted | {"status": "active"}
    else:
        subscription |= {
            "pending_update": _shown(wanted, before, session.now + _WAITS_SECONDS),
            "status": before["status"],
            "_pending": {"changes": wanted, "invoice": invoice["id"]},
        }
    session.tell_changes(subscription)


def expire(session: Session, subscription: Document) -> None:
    """Give up a change that was not paid in time."""
    invoice = session.find("invoice", subscription["_pending"]["invoice"])
    subscription |= {"pending_update": None, "_pending": None}
    session.tell("customer.subscription.pending_update_expired", subscription)
    if invoice is not None and invoice["status"] == "open":
        close_unpaid(session, invoice, "void")


def _shown(wanted: Document, before: Document, expires_at: int) -> Document:
    changed = {name: wanted[name] for name in ("billing_cycle_anchor", "trial_end") if wanted[name] != before[name]}
    items = wanted["items"]["data"]
    return {
        "billing_cycle_anchor": changed.get("billing_cycle_anchor"),
        "expires_at": expires_at,
        "subscription_items": clone(items) if items != before["items"]["data"] else None,
        "trial_end": changed.get("trial_end"),
        "trial_from_plan": None,
    }
