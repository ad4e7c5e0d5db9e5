"""Mail an invoice with its PDF."""

from __future__ import annotations

from billing_worker.domains.invoices.services.queue_pdf import queue_pdf
from billing_worker.domains.invoices.services.read_content import PdfMaker
from billing_worker.domains.notifications.rules import check_sendable
from billing_worker.domains.notifications.services.request_message import RequestedMessage
from billing_worker.domains.notifications.services.send_invoice_mail import send_invoice_mail
from billing_worker.mirror.objects import get_object


def mail_invoice(maker: PdfMaker, invoice_id: str, *, is_dry_run: bool = False) -> RequestedMessage:
    """Have an invoice's PDF rendered and the invoice mailed with it.

    Phases: the PDF's row, then the message's: who asks again after a crash between them finds the first.
    Raises: NotMirroredError, NothingToTellError; what queue_pdf raises.
    """
    with maker.unit_of_work.transaction() as session:
        invoice = get_object(session, "invoice", invoice_id).data
    check_sendable(invoice)
    pdf_id = None if is_dry_run else queue_pdf(maker, invoice_id).id
    with maker.unit_of_work.transaction() as session:
        return send_invoice_mail(session, invoice, pdf_id=pdf_id, now=maker.unit_of_work.now(), is_dry_run=is_dry_run)
