"""Rows of rendered invoices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Interval, and_, cast, func, or_, select, text, update
from sqlalchemy.orm import Session, undefer

from billing_worker.domains.invoices.models import InvoicePdf
from billing_worker.domains.invoices.states import PdfStatus

_WAITS = or_(
    InvoicePdf.status == PdfStatus.QUEUED,
    and_(InvoicePdf.status == PdfStatus.RENDERING, InvoicePdf.lease_until <= func.clock_timestamp()),
)


def lock_pdf_of_content(session: Session, invoice_id: str, content_hash: str) -> InvoicePdf | None:
    """Lock and return the row of one content; whoever asks for the same content waits until the caller commits."""
    # the row may not be there yet: the lock that two askers share is one on its name
    name = {"name": f"pdf:{invoice_id}:{content_hash}"}
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), name)
    return session.scalars(
        select(InvoicePdf)
        .where(
            InvoicePdf.account_id == "", InvoicePdf.invoice_id == invoice_id, InvoicePdf.content_hash == content_hash
        )
        .with_for_update()
    ).one_or_none()


def queue_again(pdf: InvoicePdf, now: datetime) -> None:
    """Put a row back to the start."""
    pdf.status, pdf.attempts, pdf.requested_at, pdf.detail = PdfStatus.QUEUED, 0, now, ""
    pdf.body = pdf.pages = pdf.finished_at = pdf.lease_until = None


def claim_pdf(session: Session, *, lease: timedelta, pdf_id: int | None = None) -> InvoicePdf | None:
    """Take one row that waits, the oldest or the one asked for, and return it with its document.

    Locks: the row until the caller commits; then the lease keeps others away.
    """
    wanted = select(InvoicePdf.id).where(_WAITS).order_by(InvoicePdf.id).limit(1).with_for_update(skip_locked=True)
    if pdf_id is not None:
        wanted = wanted.where(InvoicePdf.id == pdf_id)
    taken = session.scalar(wanted)
    if taken is None:
        return None
    until = func.clock_timestamp() + cast(lease, Interval)
    session.execute(
        update(InvoicePdf)
        .where(InvoicePdf.id == taken)
        .values(status=PdfStatus.RENDERING, attempts=InvoicePdf.attempts + 1, lease_until=until)
    )
    return session.scalars(select(InvoicePdf).where(InvoicePdf.id == taken).options(undefer(InvoicePdf.document))).one()


def lock_pdf(session: Session, pdf_id: int) -> InvoicePdf:
    """Lock and return one row."""
    return session.scalars(select(InvoicePdf).where(InvoicePdf.id == pdf_id).with_for_update()).one()


def find_pdf(session: Session, pdf_id: int) -> InvoicePdf | None:
    """Return one row with its body, if it is there."""
    return session.scalars(
        select(InvoicePdf).where(InvoicePdf.id == pdf_id).options(undefer(InvoicePdf.body))
    ).one_or_none()


def get_pdf(session: Session, pdf_id: int) -> InvoicePdf:
    """Return one row with its body."""
    return session.scalars(select(InvoicePdf).where(InvoicePdf.id == pdf_id).options(undefer(InvoicePdf.body))).one()


def list_pdfs(session: Session, invoice_id: str) -> Sequence[InvoicePdf]:
    """Return the rows of an invoice, newest request first."""
    return session.scalars(
        select(InvoicePdf)
        .where(InvoicePdf.account_id == "", InvoicePdf.invoice_id == invoice_id)
        .order_by(InvoicePdf.requested_at.desc(), InvoicePdf.id.desc())
    ).all()


def count_waiting(session: Session) -> int:
    """Count rows that wait, at most a hundred."""
    waiting = select(InvoicePdf.id).where(_WAITS).limit(100).subquery()
    return session.scalar(select(func.count()).select_from(waiting)) or 0
