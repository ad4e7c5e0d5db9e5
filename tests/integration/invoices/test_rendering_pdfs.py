from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.invoices.models import InvoicePdf
from billing_worker.domains.invoices.pdf_queries import claim_pdf, list_pdfs
from billing_worker.domains.invoices.services.render_due_pdfs import render_due_pdfs
from billing_worker.domains.invoices.services.render_pdf import MAX_ATTEMPTS, render_pdf
from billing_worker.domains.invoices.services.request_pdf import Content, request_pdf
from billing_worker.domains.invoices.tasks import PROBES
from billing_worker.domains.invoices.templates import TEMPLATE, find_template
from billing_worker.domains.invoices.typesetter import Typesetter, find_font_folders
from billing_worker.runtime.settings import Settings
from tests.support.deliveries import rows
from tests.support.pages import document, line, texts

PATIENCE = timedelta(minutes=2)
# The first picks its failure from the document, the second shows that the next one is served.
TEMPLATE_SOURCE = """#let told = json(bytes(sys.inputs.document))
#if told.number == "BAD" { panic("no such thing") } else { told.number }
"""


@pytest.fixture
def typesetter(tmp_path: Path) -> Typesetter:
    (tmp_path / TEMPLATE).write_text(TEMPLATE_SOURCE)
    return Typesetter(find_template(tmp_path), 512 * 1024**2, 60, find_font_folders())


def ask(unit_of_work: UnitOfWork, number: str = "A-1", *, again: bool = False) -> int:
    content = Content("in_1", "cus_1", unit_of_work.now(), document(line("Pro", 1), number=number), "template")
    with unit_of_work.transaction() as session:
        return request_pdf(session, content, again=again, now=unit_of_work.now()).id


def due(session: Session, unit_of_work: UnitOfWork) -> int:
    [probe] = PROBES
    return probe.due(session, unit_of_work.now())


def test_the_same_content_is_rendered_once_and_anew_on_request(
    unit_of_work: UnitOfWork, typesetter: Typesetter, session: Session
) -> None:
    first = ask(unit_of_work)
    assert (ask(unit_of_work), due(session, unit_of_work)) == (first, 1)
    with capture_logs() as logs:
        assert render_due_pdfs(unit_of_work, typesetter, patience=PATIENCE) == {"rendered": 1}
    assert [(log["event"], log["status"], log["pages"]) for log in logs] == [("pdf_generation", "rendered", 1)]
    body = session.execute(text("SELECT body FROM billing_invoice_pdfs")).scalar_one()
    assert texts(bytes(body))[0].strip() == "A-1"

    assert ask(unit_of_work) == first
    assert render_due_pdfs(unit_of_work, typesetter, patience=PATIENCE) == {}
    assert ask(unit_of_work, again=True) == first
    assert render_due_pdfs(unit_of_work, typesetter, patience=PATIENCE) == {"rendered": 1}
    assert ask(unit_of_work, "A-2") != first
    assert rows(session, "SELECT status, attempts FROM billing_invoice_pdfs ORDER BY id") == [
        ("rendered", 1),
        ("queued", 0),
    ]


def test_one_that_fails_is_kept_with_its_reason_and_the_others_go_on(
    unit_of_work: UnitOfWork, typesetter: Typesetter, session: Session
) -> None:
    ask(unit_of_work, "BAD")
    ask(unit_of_work)
    greedy = replace(typesetter, memory_bytes=40 * 1024**2)
    assert render_due_pdfs(unit_of_work, typesetter, patience=PATIENCE) == {"failed": 1, "rendered": 1}
    [why, fine] = rows(session, "SELECT detail FROM billing_invoice_pdfs ORDER BY id")
    assert "no such thing" in why[0]
    assert fine == ("",)
    assert due(session, unit_of_work) == 0

    ask(unit_of_work, "BAD")
    assert due(session, unit_of_work) == 1, "who asks again tries again"
    assert render_due_pdfs(unit_of_work, greedy, patience=PATIENCE) == {"failed": 1}
    assert rows(session, "SELECT body IS NULL FROM billing_invoice_pdfs WHERE status = 'failed'") == [(True,)]


def test_what_a_dead_worker_left_is_taken_again_but_not_for_ever(
    unit_of_work: UnitOfWork, typesetter: Typesetter, session: Session
) -> None:
    asked = ask(unit_of_work)
    for _ in range(MAX_ATTEMPTS):
        with unit_of_work.transaction() as dying:
            assert claim_pdf(dying, lease=timedelta(0)) is not None
    assert due(session, unit_of_work) == 1
    pdf = render_pdf(unit_of_work, typesetter)
    assert pdf is not None
    assert (pdf.id, pdf.status, pdf.attempts) == (asked, "failed", MAX_ATTEMPTS + 1)
    assert "regenerate-pdf" in pdf.detail


def test_who_lost_the_lease_changes_nothing(unit_of_work: UnitOfWork, typesetter: Typesetter, session: Session) -> None:
    ask(unit_of_work)

    class Overtaken(Typesetter):
        def typeset(self, document: Any) -> Any:
            with unit_of_work.transaction() as other:
                other.execute(text("UPDATE billing_invoice_pdfs SET attempts = attempts + 1"))
            return super().typeset(document)

    slow = Overtaken(typesetter.template, typesetter.memory_bytes, typesetter.seconds, typesetter.font_folders)
    pdf = render_pdf(unit_of_work, slow)
    assert isinstance(pdf, InvoicePdf)
    assert [(one.status, one.attempts, one.pages) for one in list_pdfs(session, "in_1")] == [("rendering", 2, None)]
    assert render_pdf(unit_of_work, typesetter) is None, "another holds the lease"


def test_the_settings_describe_the_typesetter(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / TEMPLATE).write_text("x")
    changed = settings.model_copy(update={"pdf_template_dir": tmp_path, "pdf_font_dir": tmp_path})
    setter = Typesetter.from_settings(changed)
    assert (setter.template.folder, setter.font_folders[0], setter.memory_bytes, setter.seconds) == (
        tmp_path.resolve(),
        str(tmp_path.resolve()),
        512 * 1024**2,
        30,
    )
