"""Invoices by mail with their PDF, messages that come back, limits, and what an operator sends again."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.invoices.services.render_pdf import render_pdf
from billing_worker.domains.invoices.services.request_pdf import Content, request_pdf
from billing_worker.domains.invoices.templates import find_template
from billing_worker.domains.invoices.typesetter import Typesetter, find_font_folders
from billing_worker.domains.notifications.errors import NothingToTellError, NotSuppressedError
from billing_worker.domains.notifications.maildir import take_in
from billing_worker.domains.notifications.queries import get_message, list_suppressions
from billing_worker.domains.notifications.services.lift_suppression import lift_suppression
from billing_worker.domains.notifications.services.record_bounce import record_bounce
from billing_worker.domains.notifications.services.request_message import RequestedMessage
from billing_worker.domains.notifications.services.resend_message import Resent, resend_message
from billing_worker.domains.notifications.services.send_invoice_mail import send_invoice_mail
from billing_worker.domains.notifications.smtp import SmtpTransport
from billing_worker.domains.notifications.states import AttemptOutcome
from billing_worker.kernel.clock import FixedClock
from tests.integration.notifications.conftest import Office
from tests.support.mail_server import MailServer, run_mail_server
from tests.support.pages import document, invoice, line, texts

TYPESETTER = Typesetter(find_template(None), 512 * 1024**2, 60, find_font_folders())


def report(server: MailServer, **changes: str) -> bytes:
    """Write what a mail server sends back about a message that it took."""
    told = {
        "id": server.message_ids[0],
        "recipient": "ann@example.com",
        "action": "failed",
        "status": "5.1.1",
        "words": "smtp; 550 5.1.1 <ann@example.com>: no such user",
        **changes,
    }
    return (
        "From: MAILER-DAEMON@mx.example.com\r\nTo: billing@example.com\r\nSubject: Undelivered\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\nMIME-Version: 1.0\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example.com\r\n\r\n"
        f"Final-Recipient: rfc822; {told['recipient']}\r\nAction: {told['action']}\r\nStatus: {told['status']}\r\n"
        f"Diagnostic-Code: {told['words']}\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {told['id']}\r\nSubject: x\r\n\r\n--b--\r\n"
    ).encode()


def mail(unit_of_work: UnitOfWork, pdf_id: int | None = None, **fields: Any) -> RequestedMessage:
    with unit_of_work.transaction() as session:
        return send_invoice_mail(session, invoice(line("Pro", 4900), **fields), pdf_id=pdf_id, now=unit_of_work.now())


def record(unit_of_work: UnitOfWork, raw: bytes) -> list[str]:
    with unit_of_work.transaction() as session:
        return [one.outcome for one in record_bounce(session, raw, now=unit_of_work.now())]


def resend(unit_of_work: UnitOfWork, asked: str) -> Resent:
    with unit_of_work.transaction() as session:
        return resend_message(session, get_message(session, asked), now=unit_of_work.now())


def queue_pdf(unit_of_work: UnitOfWork) -> int:
    content = Content("in_1", "cus_1", unit_of_work.now(), document(line("Pro", 4900)), "template")
    with unit_of_work.transaction() as session:
        return request_pdf(session, content, now=unit_of_work.now()).id


def test_an_invoice_waits_for_its_pdf_and_goes_with_it(
    office: Office, server: MailServer, unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    office.happens(office.ann())
    pdf_id = queue_pdf(unit_of_work)
    assert mail(unit_of_work, pdf_id).is_new
    assert not mail(unit_of_work, pdf_id).is_new
    assert office.send() == {"queued": 1}
    render_pdf(unit_of_work, TYPESETTER)
    assert office.send() == {}, "it is looked at again in ten seconds"
    clock.advance(timedelta(seconds=10))
    assert office.send() == {"sent": 1}

    [message] = server.taken
    assert message["Subject"] == "Your invoice EX-0042 over 49.00 USD"
    [attachment] = list(message.iter_attachments())
    assert (attachment.get_filename(), attachment.get_content_type()) == ("EX-0042.pdf", "application/pdf")
    assert "EX-0042" in texts(attachment.get_content())[0]
    body = message.get_body(("plain",))
    assert body is not None
    assert "It is attached as a PDF." in body.get_content()


def test_an_invoice_goes_without_a_pdf_that_nobody_renders(
    office: Office, server: MailServer, unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    office.happens(office.ann())
    mail(unit_of_work, queue_pdf(unit_of_work))
    for _ in range(6):
        assert office.send() == {"queued": 1}
        clock.advance(timedelta(seconds=10))
    assert office.send() == {"sent": 1}
    assert list(server.taken[0].iter_attachments()) == []
    assert "attached" not in server.taken[0].as_string()


def test_what_cannot_be_mailed_is_refused_with_the_way(office: Office, unit_of_work: UnitOfWork) -> None:
    with pytest.raises(NothingToTellError, match="customer update cus_1 --email"):
        mail(unit_of_work)
    office.happens(office.ann())
    with pytest.raises(NothingToTellError, match=r"is draft: `nself billing invoice finalize in_1`"):
        mail(unit_of_work, status="draft")
    with pytest.raises(NothingToTellError, match="is void"):
        mail(unit_of_work, status="void")
    assert office.effects() == []


def test_an_invoice_that_was_suppressed_goes_out_when_it_is_asked_for_again(
    office: Office, server: MailServer, unit_of_work: UnitOfWork
) -> None:
    office.happens(office.ann())
    mail(unit_of_work)
    assert office.send(mail_enabled=False) == {"suppressed": 1}
    assert mail(unit_of_work).is_new
    assert office.send() == {"sent": 1}
    assert not mail(unit_of_work).is_new
    assert len(server.taken) == 1
    assert office.messages() == [("sent", 1, "ann@example.com")]


def test_a_message_that_came_back_stops_mail_to_its_address_until_it_is_lifted(
    office: Office, server: MailServer, unit_of_work: UnitOfWork, session: Session
) -> None:
    office.happens(office.ann(), office.paid("in_1"))
    assert office.send() == {"sent": 1}
    came_back = report(server)
    assert record(unit_of_work, came_back) == ["suppressed"]
    assert record(unit_of_work, came_back) == ["repeated"]
    assert office.rows("SELECT status, detail FROM billing_messages") == [
        ("bounced", "5.1.1 550 5.1.1 <***@***>: no such user")
    ]
    assert "ann" not in str(office.rows("SELECT * FROM billing_mail_suppressions"))
    [(suppression, message)] = list_suppressions(session, limit=5)
    assert (suppression.reason, message.recipient) == ("5.1.1 550 5.1.1 <***@***>: no such user", "ann@example.com")

    office.happens(office.paid("in_2"))
    assert office.send() == {"suppressed": 1}
    with unit_of_work.transaction() as lifting:
        assert lift_suppression(lifting, "Ann@Example.com").startswith("5.1.1")
    with unit_of_work.transaction() as lifting, pytest.raises(NotSuppressedError):
        lift_suppression(lifting, "ann@example.com")
    assert resend(unit_of_work, "msg_2") == Resent("mail:invoice_paid:in_2:paid", is_copy=False)
    assert office.send() == {"sent": 1}
    assert len(set(server.message_ids)) == 2


@pytest.mark.parametrize(
    ("changes", "outcome", "status"),
    [
        ({"action": "delayed", "status": "4.4.7"}, "noted", "sent"),
        ({"status": "4.2.2", "words": "smtp; 452 full"}, "bounced", "bounced"),
        ({"recipient": "eve@example.com"}, "not_ours", "sent"),
        ({"id": "<guess@example.com>"}, "not_ours", "sent"),
    ],
)
def test_only_a_permanent_failure_of_our_own_message_suppresses(
    office: Office,
    server: MailServer,
    unit_of_work: UnitOfWork,
    changes: dict[str, str],
    outcome: str,
    status: str,
) -> None:
    office.happens(office.ann(), office.paid())
    office.send()
    assert record(unit_of_work, report(server, **changes)) == [outcome]
    assert [row[0] for row in office.messages()] == [status]
    assert office.rows("SELECT count(*) FROM billing_mail_suppressions") == [(0,)]


def test_a_maildir_is_read_once(office: Office, server: MailServer, unit_of_work: UnitOfWork, tmp_path: Path) -> None:
    office.happens(office.ann(), office.paid())
    office.send()
    for folder in ("new", "cur"):
        (tmp_path / folder).mkdir()
    (tmp_path / "new" / "1.a").write_bytes(report(server))
    (tmp_path / "new" / "2.b").write_bytes(b"Subject: I am on holiday\r\n\r\nBack on Monday.\r\n")
    assert [one.outcome for one in take_in(unit_of_work, tmp_path)] == ["suppressed", "no_report"]
    assert take_in(unit_of_work, tmp_path) == []
    assert sorted(path.name for path in (tmp_path / "cur").iterdir()) == ["1.a:2,S", "2.b:2,S"]


def test_one_reader_gets_so_many_messages_an_hour_and_the_rest_later(
    office: Office, server: MailServer, clock: FixedClock
) -> None:
    office.happens(office.ann(), *(office.paid(f"in_{number}") for number in range(5)))
    assert office.send(mail_recipient_limit=2) == {"sent": 2, "queued": 3}
    assert office.send(mail_recipient_limit=2) == {}
    clock.advance(timedelta(hours=1))
    assert office.send(mail_recipient_limit=2) == {"sent": 2, "queued": 1}
    assert office.send(mail_recipient_limit=0) == {}
    clock.advance(timedelta(hours=1))
    assert office.send(mail_recipient_limit=2) == {"sent": 1}
    assert len(set(server.message_ids)) == len(server.taken) == 5


def test_what_was_sent_is_sent_again_as_a_message_of_its_own(
    office: Office, server: MailServer, unit_of_work: UnitOfWork
) -> None:
    office.happens(office.ann(), office.paid())
    with pytest.raises(Exception, match="no message msg_1"):
        resend(unit_of_work, "msg_1")
    office.send()
    assert resend(unit_of_work, "msg_1") == Resent("mail:invoice_paid:in_1:paid:resent:1", is_copy=True)
    assert resend(unit_of_work, "msg_1").effect_key.endswith(":resent:2")
    assert office.send() == {"sent": 2}
    assert len(set(server.message_ids)) == 3


def test_port_465_speaks_tls_from_the_first_byte(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    paths = {name: str(tmp_path / f"{name}.pem") for name in ("key", "certificate")}
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", paths["key"], "-out", paths["certificate"]],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(paths["certificate"], paths["key"])
    office.happens(office.ann(), office.paid())
    with run_mail_server(tls=context, from_the_first_byte=True) as server:
        changes = {"mail_port": server.port, "mail_host": "localhost"}
        transport = SmtpTransport.from_settings(office.settings.model_copy(update={**changes, "mail_tls": True}))
        assert office.send(transport) == {"queued": 1}, "nobody vouches for the certificate"
        monkeypatch.setenv("SSL_CERT_FILE", paths["certificate"])
        office.clock.advance(timedelta(minutes=1))
        assert office.send(transport) == {"sent": 1}
    assert office.attempts() == [AttemptOutcome.DEFERRED, AttemptOutcome.SENT]
    assert len(server.taken) == 1
