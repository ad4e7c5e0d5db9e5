"""Find the PDF that goes with a message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from billing_worker.domains.invoices.pdf_queries import find_pdf
from billing_worker.domains.invoices.states import PdfStatus
from billing_worker.domains.notifications.rules import PDF_ATTEMPTS, PDF_WAIT
from billing_worker.effects.leased import LeasedEffect


@dataclass(frozen=True, slots=True)
class Attachment:
    """A PDF and the name that it is saved under."""

    name: str
    body: bytes


def find_attachment(session: Session, effect: LeasedEffect) -> Attachment | timedelta | None:
    """Return an effect's PDF, how long to wait for it, or None when the message goes without one.

    A PDF that failed, or that nobody renders for a minute, does not keep the message from its reader.
    """
    asked = effect.payload.get("pdf")
    pdf = find_pdf(session, int(asked)) if asked is not None else None
    if pdf is None:
        return None
    if pdf.status is PdfStatus.RENDERED and pdf.body is not None:
        number = str(effect.payload.get("number") or effect.payload["invoice"])
        return Attachment(f"{re.sub(r'[^A-Za-z0-9._-]', '-', number)}.pdf", pdf.body)
    if pdf.status is PdfStatus.FAILED or effect.attempts > PDF_ATTEMPTS:
        return None
    return PDF_WAIT
