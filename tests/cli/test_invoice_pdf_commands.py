"""The guide's section on invoices as PDF, against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tests.cli.nself import Nself, WarmNself
from tests.support.deliveries import rows
from tests.support.pages import texts
from tests.support.stripe_sandbox import KEY, Sandbox, run_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def nself(tmp_path: Path, database_url: str, redis_url: str, sandbox: Sandbox) -> Nself:
    where = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "STRIPE_API_BASE": sandbox.url}
    return WarmNself(tmp_path, {**where, "STRIPE_SECRET_KEY": KEY, "PDF_ISSUER": "Example, Inc.|5 Broad Street"})


def told(nself: Nself, *arguments: str, code: int = 0, **variables: str) -> Any:
    done = nself("billing", "invoice", *arguments, "--json", **variables)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_an_invoice_is_rendered_stored_and_rendered_again(
    nself: Nself, sandbox: Sandbox, session: Session, tmp_path: Path
) -> None:
    customer = sandbox.api("POST", "customers", name="株式会社テスト", email="test@example.com")["id"]
    invoice = told(nself, "create", "--customer", customer)["invoice"]
    # Stripe embeds ten lines: the others are fetched
    for number in range(12):
        sandbox.api("POST", "invoiceitems", customer=customer, invoice=invoice, amount=100 + number, currency="usd",
                    description=f"Seat {number}")  # fmt: skip
    told(nself, "update", invoice)
    never = nself("billing", "invoice", "pdf-status", invoice)
    assert (never.returncode, never.stderr) == (0, f"never rendered: `nself billing invoice generate-pdf {invoice}`\n")

    sample = tmp_path / "sample.pdf"
    assert told(nself, "generate-pdf", invoice, "--test", "--output", str(sample))["status"] == "test"
    [page] = texts(sample.read_bytes())
    assert [
        words for words in ("TEST", "Seat 11", "株式会社テスト", "Example, Inc.", "12.66 USD") if words not in page
    ] == []
    assert rows(session, "SELECT count(*) FROM billing_invoice_pdfs") == [(0,)]

    first = told(nself, "generate-pdf", invoice)
    assert (first["status"], first["pages"], first["from_cache"]) == ("rendered", 1, False)
    kept = tmp_path / "kept.pdf"
    assert told(nself, "generate-pdf", invoice, "--output", str(kept))["from_cache"] is True
    assert "DRAFT" in texts(kept.read_bytes())[0]
    assert told(nself, "regenerate-pdf", invoice)["from_cache"] is False
    assert told(nself, "finalize", invoice)["status"] == "open"
    assert [row["outdated"] for row in told(nself, "pdf-status", invoice)] == [True]
    final = told(nself, "generate-pdf", invoice)
    assert (final["from_cache"], final["content_hash"] != first["content_hash"]) == (False, True)
    assert [row["outdated"] for row in told(nself, "pdf-status", invoice)] == [False, True]

    failed = told(nself, "regenerate-pdf", invoice, code=1, PDF_TEMPLATE_DIR=str(broken(tmp_path)))
    assert "unknown variable: nothing" in failed["detail"]
    assert nself("billing", "invoice", "generate-pdf", "in_none").returncode == 4


def broken(tmp_path: Path) -> Path:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "invoice.typ").write_text("#nothing")
    return folder


def test_the_template_is_shown_and_copied_to_be_edited(nself: Nself, tmp_path: Path) -> None:
    shown = nself("billing", "invoice", "show-template")
    assert shown.stdout.startswith("// The invoice.")
    assert "templates/invoice.typ" in shown.stderr
    own = tmp_path / "own"
    assert told(nself, "show-template", "--copy-to", str(own))["template"] == str(own / "invoice.typ")
    again = nself("billing", "invoice", "show-template", "--copy-to", str(own))
    assert (again.returncode, "is left as it is" in again.stderr) == (3, True)
    assert told(nself, "show-template", PDF_TEMPLATE_DIR=str(own))["own"] is True
    missing = nself("billing", "invoice", "show-template", PDF_TEMPLATE_DIR=str(tmp_path))
    assert (missing.returncode, "show-template --copy-to" in missing.stderr) == (3, True)
    refused = nself("env", "set", "PDF_MEMORY_LIMIT=4M")
    assert refused.returncode != 0
    assert nself("env", "set", "PDF_MEMORY_LIMIT=512M").returncode == 0
