"""Ask for the PDF of an invoice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing_worker.domains.invoices.models import InvoicePdf
from billing_worker.domains.invoices.pdf_queries import lock_pdf_of_content, queue_again
from billing_worker.domains.invoices.states import PdfStatus


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be put on paper: the document, the template's digest, and the invoice it was made of."""

    invoice_id: str
    customer_id: str | None
    invoice_version: datetime
    document: Mapping[str, Any]
    template_digest: str

    def digest(self) -> str:
        """Return the digest that names the PDF."""
        canonical = json.dumps(self.document, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(f"{self.template_digest}\0{canonical}".encode()).hexdigest()


def request_pdf(session: Session, content: Content, *, again: bool = False, now: datetime) -> InvoicePdf:
    """Return the row of a content's PDF, queued if it is not there; with `again` it is rendered anew.

    Idempotent by: invoice, document and template. One that failed is tried again; one in work is left alone.
    """
    pdf = lock_pdf_of_content(session, content.invoice_id, content.digest())
    if pdf is None:
        pdf = InvoicePdf(
            account_id="",
            invoice_id=content.invoice_id,
            customer_id=content.customer_id,
            invoice_version=content.invoice_version,
            content_hash=content.digest(),
            document=dict(content.document),
            status=PdfStatus.QUEUED,
            attempts=0,
            requested_at=now,
            detail="",
        )
        session.add(pdf)
    elif pdf.status is PdfStatus.FAILED or (again and pdf.status is PdfStatus.RENDERED):
        queue_again(pdf, now)
    pdf.invoice_version = max(pdf.invoice_version, content.invoice_version)
    session.flush()
    return pdf
