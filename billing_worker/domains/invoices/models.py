"""Rows of this slice."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, SmallInteger
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from billing_worker.database.base import Base, EnumText
from billing_worker.domains.invoices.states import PdfStatus


class InvoicePdf(Base):
    """One rendering of one content of an invoice: the same content has one row, rendered anew only on request.

    Shape: `document` is what the template was given, `content_hash` covers it and the template; `lease_until` is wall
    time, because a simulated clock may jump. Bodies and documents are loaded only where asked for.
    """

    __tablename__ = "billing_invoice_pdfs"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    invoice_id: Mapped[str]
    customer_id: Mapped[str | None]
    invoice_version: Mapped[datetime]
    content_hash: Mapped[str]
    document: Mapped[dict[str, Any]] = mapped_column(JSONB, deferred=True)
    status: Mapped[PdfStatus] = mapped_column(EnumText(PdfStatus))
    attempts: Mapped[int] = mapped_column(SmallInteger)
    requested_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    duration_ms: Mapped[int | None]
    peak_memory_bytes: Mapped[int | None]
    pages: Mapped[int | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    detail: Mapped[str]
