"""Render every PDF that was asked for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.invoices.services.render_pdf import render_pdf
from billing_worker.domains.invoices.typesetter import Typesetter


def render_due_pdfs(unit_of_work: UnitOfWork, typesetter: Typesetter, *, patience: timedelta) -> Mapping[str, int]:
    """Render what waits, one after the other, and count the states reached; one that fails holds nobody up.

    Units: `patience` is how long new ones are begun.
    """
    reached: Counter[str] = Counter()
    give_up_at = time.monotonic() + patience.total_seconds()
    while time.monotonic() < give_up_at:
        pdf = render_pdf(unit_of_work, typesetter)
        if pdf is None:
            break
        reached[pdf.status.value] += 1
    return reached
