"""Render one PDF that was asked for."""

from __future__ import annotations

from datetime import timedelta

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.invoices.errors import TypesettingError
from billing_worker.domains.invoices.models import InvoicePdf
from billing_worker.domains.invoices.pdf_queries import claim_pdf, lock_pdf
from billing_worker.domains.invoices.states import PdfStatus
from billing_worker.domains.invoices.typesetter import TypesetPdf, Typesetter

MARGIN = timedelta(seconds=30)
"""The child ends within its time; the rest is for storing what it made, on a busy machine."""

MAX_ATTEMPTS = 3
"""A document that took three workers with it is not given a fourth."""

_log = structlog.get_logger(__name__)


def render_pdf(unit_of_work: UnitOfWork, typesetter: Typesetter, *, pdf_id: int | None = None) -> InvoicePdf | None:
    """Render the row that waits longest, or the one asked for; return it, None if nothing waits.

    Phases: (a) taken under a lease; (b) the typesetter's process, without any transaction; (c) the PDF or the reason
    stored. After a crash the lease ends and the row is taken again.
    Idempotent by: the row and the attempt: an answer that comes after its lease was given to another changes nothing.
    """
    lease = timedelta(seconds=typesetter.seconds) + MARGIN
    with unit_of_work.transaction() as session:
        pdf = claim_pdf(session, lease=lease, pdf_id=pdf_id)
        if pdf is None:
            return None
        attempt, document = pdf.attempts, dict(pdf.document)
    made: TypesetPdf | str
    if attempt > MAX_ATTEMPTS:
        made = f"the worker ended in {MAX_ATTEMPTS} attempts; `nself billing invoice regenerate-pdf` tries again"
    else:
        try:
            made = typesetter.typeset(document)
        except TypesettingError as error:
            made = str(error)
    with unit_of_work.transaction() as session:
        pdf = lock_pdf(session, pdf.id)
        if pdf.status is PdfStatus.RENDERING and pdf.attempts == attempt:
            _store(pdf, made)
            pdf.finished_at, pdf.lease_until = unit_of_work.now(), None
    _report(pdf)
    return pdf


def _store(pdf: InvoicePdf, made: TypesetPdf | str) -> None:
    if isinstance(made, str):
        pdf.status, pdf.detail, pdf.body = PdfStatus.FAILED, made, None
        return
    pdf.status, pdf.body, pdf.detail = PdfStatus.RENDERED, made.body, made.remarks
    pdf.pages, pdf.duration_ms, pdf.peak_memory_bytes = made.pages, made.duration_ms, made.peak_memory_bytes


def _report(pdf: InvoicePdf) -> None:
    log = _log.error if pdf.status is PdfStatus.FAILED else _log.info
    log(
        "pdf_generation",
        invoice_id=pdf.invoice_id,
        pdf_id=pdf.id,
        status=pdf.status.value,
        attempts=pdf.attempts,
        pages=pdf.pages,
        ms=pdf.duration_ms,
        detail=pdf.detail,
    )
