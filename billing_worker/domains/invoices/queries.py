"""What the mirror has of invoices, and what went wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing_worker.mirror.tables import table_of


@dataclass(frozen=True, slots=True)
class ListedInvoice:
    """One line of a list; amounts in minor units."""

    id: str
    number: str | None
    customer_id: str | None
    subscription_id: str | None
    status: str | None
    currency: str | None
    total_minor: int | None
    amount_remaining_minor: int | None
    billing_reason: str | None
    attempt_count: int | None
    next_payment_attempt: datetime | None
    invoiced_at: datetime | None


@dataclass(frozen=True, slots=True)
class InvoiceError:
    """One thing that went wrong: `source` is change (a call of ours), payment or finalization (Stripe's word)."""

    at: datetime
    invoice_id: str
    source: str
    what: str
    reason: str


_ERRORS = text(
    """
    SELECT coalesce(i.finished_at, i.created_at) AS at,
           coalesce(i.stripe_id, split_part(i.parent_key, '/', 3)) AS invoice_id,
           'change' AS source, i.operation AS what, i.detail AS reason
    FROM billing.billing_intents i
    WHERE i.operation LIKE 'invoice%' AND i.status IN ('failed', 'declined', 'parked')
      AND coalesce(i.finished_at, i.created_at) >= :since
    UNION ALL
    SELECT r.failed_at, r.invoice_id, 'payment', r.status, concat_ws(': ', r.decline_code, r.explanation)
    FROM billing.billing_payment_retries r WHERE r.failed_at >= :since
    UNION ALL
    SELECT v.version, v.id, 'finalization', 'last_finalization_error',
           concat_ws(': ', v.data #>> '{last_finalization_error,code}', v.data #>> '{last_finalization_error,message}')
    FROM billing.billing_invoices v
    WHERE v.data #> '{last_finalization_error}' IS NOT NULL
      AND jsonb_typeof(v.data -> 'last_finalization_error') = 'object' AND v.version >= :since
    ORDER BY at DESC
    LIMIT :limit
    """
)


def list_invoices(
    session: Session, *, status: str | None = None, customer_ids: Sequence[str] | None = None, limit: int = 50
) -> list[ListedInvoice]:
    """Return mirrored invoices, newest first."""
    table = table_of("invoice")
    query = select(*(table.c[name] for name in ListedInvoice.__slots__)).where(table.c.deleted_at.is_(None))
    if status is not None:
        query = query.where(table.c.status == status)
    if customer_ids is not None:
        query = query.where(table.c.customer_id.in_(customer_ids))
    rows = session.execute(query.order_by(table.c.invoiced_at.desc().nulls_last(), table.c.id).limit(limit))
    return [ListedInvoice(**row) for row in rows.mappings()]


def list_customers_of(session: Session, user_id: str) -> list[str]:
    """Return the customers of a user."""
    table = table_of("customer")
    rows = session.execute(select(table.c.id).where(table.c.user_id == user_id).order_by(table.c.id))
    return list(rows.scalars())


def list_errors(session: Session, *, since: datetime, limit: int = 100) -> list[InvoiceError]:
    """Return what went wrong with invoices since a time, newest first."""
    rows = session.execute(_ERRORS, {"since": since, "limit": limit})
    return [InvoiceError(**row) for row in rows.mappings()]


def sum_payments(session: Session, invoice_id: str) -> int | None:
    """Return what Stripe's invoice payments add up to, None where none is mirrored. Units: minor units."""
    statement = text(
        "SELECT sum(amount_paid_minor) FROM billing.billing_invoice_payments"
        " WHERE invoice_id = :id AND status = 'paid' AND deleted_at IS NULL"
    )
    found = session.execute(statement, {"id": invoice_id}).scalar_one_or_none()
    return None if found is None else int(found)


def find_user_of(session: Session, customer_id: str) -> str | None:
    """Return the user that a customer is linked with."""
    table = table_of("customer")
    return session.execute(
        select(table.c.user_id).where(table.c.account_id == "", table.c.id == customer_id)
    ).scalar_one_or_none()
