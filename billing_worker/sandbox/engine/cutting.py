"""What an end in the middle of a period does to that period.

Source: Stripe API reference, subscription `cancel_at`: a date before the end of the current period causes a proration
if prorations are enabled; one in a future period always causes one for that period.
"""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.amounts import part_of
from billing_worker.sandbox.engine.prices import one_period_before, period_end
from billing_worker.sandbox.engine.proration import is_licensed, remaining_time, unused_time


def cut_periods(session: Session, subscription: Document, paid: dict[str, int], *, prorates: bool) -> list[Document]:
    """Let current periods end where the subscription does, or run on where it no longer does.

    Shape: gives the invoice items of that, added and told of; `paid` is what a whole period of each item costs.
    """
    prorations: list[Document] = []
    for item in subscription["items"]["data"]:
        begun, old = item["current_period_start"], item["current_period_end"]
        natural = natural_end(subscription, item, begun)
        end = cut_end(subscription, begun, natural)
        if end == old:
            continue
        is_charged = prorates and is_licensed(item)
        if is_charged and end < old:
            prorations += unused_time(session, subscription, item, end, paid[item["id"]])
        item["current_period_end"] = end
        if is_charged and end > old:
            whole = natural - one_period_before(item["price"], natural)
            share = part_of(paid[item["id"]], end - begun, whole)
            prorations.append(remaining_time(session, subscription, item, old, share))
    for proration in prorations:
        session.add(proration, "invoiceitem.created")
    return prorations


def natural_end(subscription: Document, item: Document, start: int) -> int:
    """Tell where the period that begins at an instant ends by itself."""
    anchor: int = subscription["billing_cycle_anchor"]
    return anchor if anchor > start else period_end(item["price"], anchor, start)


def cut_end(subscription: Document, start: int, end: int) -> int:
    """Tell where a period ends: with the subscription, if that comes first."""
    cancel_at: int | None = subscription["cancel_at"]
    return end if cancel_at is None or cancel_at <= start else min(end, cancel_at)


def charge_part(lines: list[Document], item: Document, natural: int) -> list[Document]:
    """Charge lines of a whole period for the seconds that the item's current one has."""
    start, end = item["current_period_start"], item["current_period_end"]
    begun = one_period_before(item["price"], natural)
    if (start, end) == (begun, natural):
        return lines
    for entry in lines:
        amount = part_of(entry["amount"], end - start, natural - begun)
        entry |= {"amount": amount, "subtotal": amount}
    return lines
