"""Render an invoice to look at."""

from __future__ import annotations

from billing_worker.domains.invoices.services.read_content import PdfMaker, read_content
from billing_worker.domains.invoices.typesetter import TypesetPdf


def make_sample(maker: PdfMaker, invoice_id: str, *, mark: str) -> TypesetPdf:
    """Render an invoice with a mark across its pages; nothing is stored.

    Raises: TypesettingError; what read_content raises.
    """
    return maker.typesetter.typeset(read_content(maker, invoice_id, mark=mark).document)
