"""Tasks of invoices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing_worker.domains.invoices.pdf_queries import count_waiting
from billing_worker.domains.invoices.services.render_due_pdfs import render_due_pdfs
from billing_worker.domains.invoices.typesetter import Typesetter
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import PDF
from billing_worker.worker.tasks import task

PATIENCE = timedelta(seconds=30)
"""No rendering begins later than this into a run; PDF_TIMEOUT is at most four minutes."""


@task("invoices.render_due_pdfs", queue=PDF, soft_limit_seconds=290, hard_limit_seconds=300)
def render_due(container: Container) -> Mapping[str, object]:
    """Render the PDFs that were asked for, each in a process of its own."""
    return render_due_pdfs(container.unit_of_work, Typesetter.from_settings(container.settings), patience=PATIENCE)


def _count_due(session: Session, _now: datetime) -> int:
    return count_waiting(session)


PROBES = (Probe("pdf", "invoices.render_due_pdfs", PDF, _count_due),)
