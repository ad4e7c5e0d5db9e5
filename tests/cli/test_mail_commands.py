"""What operators do with mail beyond looking at it: send again, take in bounces, preview, tell many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from tests.cli.nself import Nself, WarmNself
from tests.cli.test_email_commands import ROWS
from tests.support.deliveries import RecordingReactions, customer, drain, event, rows, store
from tests.support.pages import invoice, line

REPORT = (
    'Content-Type: multipart/report; boundary="b"\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: x\n\n'
    "Final-Recipient: rfc822; ann@example.com\nAction: failed\nStatus: 5.1.1\n\n"
    "--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <a@example.com>\n\n--b--\n"
)


@pytest.fixture
def nself(tmp_path: Path, database_url: str, redis_url: str) -> Nself:
    variables = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "STRIPE_SECRET_KEY": "sk_test_0123456789abcdef"}
    return WarmNself(tmp_path, {**variables, "MAIL_ENABLED": "true", "MAIL_FROM": "billing@example.com"})


@pytest.fixture
def shop(engine: Engine, unit_of_work: UnitOfWork) -> None:
    events = [
        event("customer.created", customer("cus_1", email="ann@example.com", name="Ann")),
        event("customer.created", customer("cus_2", email="bob@example.com", name="Bob")),
        event(
            "customer.subscription.created",
            {"id": "sub_1", "object": "subscription", "customer": "cus_2", "status": "active", "items": {"data": []}},
        ),
        event("invoice.finalized", invoice(line("Pro", 4900))),
    ]
    store(engine, events, unit_of_work.now())
    drain(unit_of_work, RecordingReactions())


def told(nself: Nself, *arguments: str, code: int = 0, **options: Any) -> Any:
    done = nself("billing", *arguments, "--json", **options)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_bounce_is_taken_in_shown_and_lifted_and_the_message_sent_again(
    nself: Nself, engine: Engine, session: Session, tmp_path: Path
) -> None:
    with engine.begin() as connection:
        for statement in ROWS:
            connection.execute(text(statement))
        connection.execute(text("ALTER TABLE billing_effects ALTER COLUMN id RESTART WITH 100"))
    assert [row["outcome"] for row in told(nself, "email", "bounce", "--file", "-", stdin=REPORT)] == ["suppressed"]
    assert told(nself, "email", "status", "msg_11")["status"] == "bounced"
    [suppressed] = told(nself, "email", "suppressions")
    assert (suppressed["recipient"], suppressed["message"]) == ("ann@example.com", "msg_11")
    assert told(nself, "email", "suppressions", "--lift", "ann@example.com", "--reason", "new mailbox")["lifted"]
    assert told(nself, "email", "suppressions") == []

    assert told(nself, "email", "resend", "msg_11", "--reason", "asked for")["is_copy"] is True
    waiting = nself("billing", "email", "resend", "msg_12", "--reason", "asked for")
    assert (waiting.returncode, "goes out by itself" in waiting.stderr) == (3, True)
    assert told(nself, "email", "resend", "msg_13", "--reason", "mail is on now")["is_copy"] is False
    assert nself("billing", "email", "resend", "msg_13").returncode == 2
    assert rows(session, "SELECT status FROM billing_effects ORDER BY id") == [
        ("done",),
        ("pending",),
        ("pending",),
        ("pending",),
    ]
    no_report = nself("billing", "email", "bounce", "--file", "-", stdin="Subject: hi\n\nhello")
    assert (no_report.returncode, "no delivery report" in no_report.stderr) == (3, True)
    for folder in ("new", "cur"):
        (tmp_path / "mail" / folder).mkdir(parents=True)
    (tmp_path / "mail" / "new" / "1").write_text(REPORT)
    assert [row["outcome"] for row in told(nself, "email", "bounce", "--maildir", str(tmp_path / "mail"))] == [
        "repeated"
    ]
    assert nself("billing", "email", "bounce").returncode == 2


@pytest.mark.usefixtures("shop")
def test_many_are_told_once_per_occasion(nself: Nself, session: Session, tmp_path: Path) -> None:
    affected = tmp_path / "affected-customers.csv"
    affected.write_text("customer_id,amount\ncus_1,500\ncus_2,700\ncus_none,1\n")
    apology = ("notify-customers", "--template", "billing_error_apology", "--customers", str(affected))
    asked = nself("billing", *apology)
    assert (asked.returncode, "add --yes" in asked.stderr) == (3, True)
    planned = told(nself, *apology, "--dry-run", code=1)
    assert (planned["queued"], planned["told_already"], planned["unknown"]) == (2, 0, 1)
    assert rows(session, "SELECT count(*) FROM billing_effects WHERE kind LIKE 'mail.%'") == [(0,)]
    first = told(nself, *apology, "--yes", code=1)
    again = told(nself, *apology, "--yes", code=1)
    assert [(one["queued"], one["told_already"], one["unknown"]) for one in (first, again)] == [(2, 0, 1), (0, 2, 1)]
    assert told(nself, *apology, "--yes", "--occasion", "second", code=1)["queued"] == 2
    active = ("notify-customers", "--template", "payment_processing_delayed", "--all-active", "--yes")
    assert told(nself, *active)["queued"] == 1
    one = ("customer", "notify", "--customer", "cus_2", "--template", "payment_processing_delayed")
    assert told(nself, *one)["queued"] is False, "he was told today already"
    session.rollback()
    assert rows(session, "SELECT kind, customer_id FROM billing_effects ORDER BY id DESC LIMIT 1") == [
        ("mail.payment_processing_delayed", "cus_2")
    ]


@pytest.mark.usefixtures("shop")
def test_an_invoice_is_mailed_by_us_where_mail_is_on(nself: Nself, session: Session) -> None:
    planned = told(nself, "invoice", "send", "in_1", "--dry-run")
    assert (planned["sent_by"], planned["queued"]) == ("nself", True)
    assert rows(session, "SELECT count(*) FROM billing_invoice_pdfs") == [(0,)]
    assert told(nself, "invoice", "send", "in_1")["queued"] is True
    again = nself("billing", "invoice", "send", "in_1")
    assert (again.returncode, "today already" in again.stderr) == (0, True)
    assert nself("billing", "invoice", "send", "in_none").returncode == 4
    session.rollback()
    assert rows(session, "SELECT status FROM billing_invoice_pdfs") == [("queued",)]
    assert rows(
        session, "SELECT kind, customer_id, status, payload ->> 'number' FROM billing_effects WHERE kind LIKE 'mail.%'"
    ) == [("mail.invoice_issued", "cus_1", "pending", "EX-0042")]


def test_a_template_is_previewed(nself: Nself, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    shown = nself("billing", "email", "preview", "invoice_issued", "--to-file", str(page))
    assert shown.returncode == 0
    assert shown.stdout.startswith("Subject: Your invoice EX-0042 over 49.00 USD\n\nHello Ann Example,\n")
    assert "<strong>49.00 USD</strong>" in page.read_text()
    assert nself("billing", "email", "preview", "poem").returncode == 2
