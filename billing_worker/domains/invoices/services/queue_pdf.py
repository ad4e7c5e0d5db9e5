"""Have the PDF of an invoice rendered."""

from __future__ import annotations

from billing_worker.domains.invoices.models import InvoicePdf
from billing_worker.domains.invoices.services.read_content import PdfMaker, read_content
from billing_worker.domains.invoices.services.request_pdf import request_pdf


def queue_pdf(maker: PdfMaker, invoice_id: str, *, again: bool = False) -> InvoicePdf:
    """Return the row of an invoice's PDF as the mirror has the invoice now, queued if it is not rendered yet.

    Raises: what read_content raises.
    """
    content = read_content(maker, invoice_id)
    with maker.unit_of_work.transaction() as session:
        return request_pdf(session, content, again=again, now=maker.unit_of_work.now())
