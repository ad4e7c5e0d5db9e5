"""Make the PDF of an invoice for somebody who waits for it."""

from __future__ import annotations

from billing_worker.domains.invoices.errors import PdfBusyError
from billing_worker.domains.invoices.models import InvoicePdf
from billing_worker.domains.invoices.pdf_queries import get_pdf
from billing_worker.domains.invoices.services.queue_pdf import queue_pdf
from billing_worker.domains.invoices.services.read_content import PdfMaker
from billing_worker.domains.invoices.services.render_pdf import render_pdf
from billing_worker.domains.invoices.states import PdfStatus

WAITING = frozenset({PdfStatus.QUEUED, PdfStatus.RENDERING})


def make_pdf(maker: PdfMaker, invoice_id: str, *, again: bool = False) -> tuple[InvoicePdf, bool]:
    """Return an invoice's PDF with its body, rendered or failed, and whether it was rendered now.

    Raises: PdfBusyError when another process renders it at this moment; what queue_pdf raises.
    """
    pdf = queue_pdf(maker, invoice_id, again=again)
    is_new = pdf.status in WAITING
    if is_new:
        render_pdf(maker.unit_of_work, maker.typesetter, pdf_id=pdf.id)
    with maker.unit_of_work.transaction() as session:
        pdf = get_pdf(session, pdf.id)
    if pdf.status in WAITING:
        raise PdfBusyError(
            f"the PDF of {invoice_id} is being rendered at this moment: `nself billing invoice pdf-status {invoice_id}`"
        )
    return pdf, is_new
