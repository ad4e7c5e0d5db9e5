"""Read what is to be put on paper."""

from __future__ import annotations

from dataclasses import dataclass

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.invoices.services.complete_lines import complete_lines
from billing_worker.domains.invoices.services.compose_document import compose_document
from billing_worker.domains.invoices.services.request_pdf import Content
from billing_worker.domains.invoices.typesetter import Typesetter
from billing_worker.mirror.objects import get_object
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway


@dataclass(frozen=True, slots=True)
class PdfMaker:
    """What making a PDF takes."""

    unit_of_work: UnitOfWork
    gateway: StripeGateway
    settings: Settings
    typesetter: Typesetter


def read_content(maker: PdfMaker, invoice_id: str, *, mark: str = "") -> Content:
    """Return an invoice's content as the mirror has it now, with the lines that only Stripe has.

    Raises: NotMirroredError; what the gateway raises where lines must be fetched.
    """
    with maker.unit_of_work.transaction() as session:
        found = get_object(session, "invoice", invoice_id)
    invoice = complete_lines(maker.gateway, found.data)
    with maker.unit_of_work.transaction() as session:
        document = compose_document(session, invoice, maker.settings, mark=mark)
    return Content(
        invoice_id=invoice_id,
        customer_id=invoice.get("customer"),
        invoice_version=found.version,
        document=document,
        template_digest=maker.typesetter.template.digest(),
    )
