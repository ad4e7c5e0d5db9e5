"""Show a user's overage: what was billed, what will be, and what the open periods come to by now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.overage.errors import NoOverageError
from billing_worker.domains.overage.models import Overage
from billing_worker.domains.overage.pricing import PriceBook
from billing_worker.domains.overage.queries.overages import list_overages
from billing_worker.domains.overage.queries.payers import find_item, list_payers
from billing_worker.domains.overage.queries.periods import UsedPeriod, list_open_periods
from billing_worker.domains.overage.rules import compute_charge, compute_overage_units
from billing_worker.domains.overage.services.calculate_overages import Calculation


@dataclass(frozen=True, slots=True)
class ShownOverages:
    """The open periods with what they come to, and the rows with the invoices that their items are on by now."""

    opened: Sequence[tuple[UsedPeriod, Calculation]]
    rows: Sequence[tuple[Overage, str | None]]


def show_overages(session: Session, user_id: str, book: PriceBook, *, now: datetime, limit: int) -> ShownOverages:
    """Read a user's open periods and overage rows, newest first.

    Raises: NoOverageError.
    """
    rows = list_overages(session, user_id, limit=limit)
    periods = list_open_periods(session, user_id)
    if not rows and not periods:
        raise NoOverageError(
            f"user {user_id} has neither overage nor a quota: `nself billing quota set --user {user_id} …` gives one"
        )
    payer = list_payers(session, [user_id]).get(user_id)
    opened = []
    for period in periods:
        units = compute_overage_units(used=period.used, limit=period.granted)
        choice = book.choose(period.metric_type, payer, since=now)
        charge = compute_charge(choice.price, units) if choice.price else None
        source = choice.price.source if choice.price else ""
        opened.append((period, Calculation(period.metric_type, units, source, charge, choice.why)))
    return ShownOverages(opened, [(row, _invoice_of(session, row)) for row in rows])


def _invoice_of(session: Session, row: Overage) -> str | None:
    """Return the invoice of a row: an item that waited got one since."""
    item = find_item(session, row.invoice_item_id) if row.invoice_item_id else None
    invoice = item.data.get("invoice") if item else None
    return str(invoice["id"] if isinstance(invoice, dict) else invoice) if invoice else row.invoice_id
