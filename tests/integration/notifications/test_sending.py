from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.notifications.smtp import Reply, SmtpTransport
from billing_worker.domains.notifications.states import AttemptOutcome
from billing_worker.domains.notifications.tasks import PROBES
from billing_worker.inbox.services.replay_events import ReplaySelection, list_replayable, replay_events
from billing_worker.kernel.clock import FixedClock
from billing_worker.routing.table import DISPATCHER
from tests.integration.notifications.conftest import Office
from tests.support.deliveries import drain, event
from tests.support.mail_server import HANG_UP, MailServer, free_port, run_mail_server

CRASHED = "the worker ended before the server's answer was stored"


class CrashedError(Exception):
    """The process is gone."""


class CrashingTransport:
    """Hands the message over and dies before anybody can note the answer."""

    def __init__(self, office: Office) -> None:
        self._real = SmtpTransport.from_settings(office.settings)

    def deliver(self, message: EmailMessage, *, sender: str, recipient: str) -> Reply:
        assert self._real.deliver(message, sender=sender, recipient=recipient).outcome is AttemptOutcome.SENT
        raise CrashedError


def crash(office: Office) -> None:
    with pytest.raises(CrashedError):
        office.send(CrashingTransport(office), lease=timedelta(0))


def due(unit_of_work: UnitOfWork) -> int:
    [probe] = PROBES
    with unit_of_work.transaction() as session:
        return probe.due(session, unit_of_work.now())


def test_a_receipt_is_sent_once(office: Office, server: MailServer, unit_of_work: UnitOfWork) -> None:
    office.happens(office.ann(), office.paid())
    assert due(unit_of_work) == 1

    assert office.send() == {"sent": 1}
    assert office.send() == {}

    [message] = server.taken
    assert server.envelopes == [("billing@example.com", ["ann@example.com"])]
    assert (message["From"], message["To"]) == ('"Example, Inc." <billing@example.com>', "ann@example.com")
    assert message["Subject"] == "Your receipt: 9.00 USD for invoice A-1"
    assert message["Date"] == "Sun, 01 Mar 2026 12:00:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().splitlines()[0] == "Hello Ann,"
    assert "https://invoice.example.com/1" in html.get_content()
    assert office.messages() == [("sent", 1, "ann@example.com")]
    assert office.effects() == [("done", 1)]
    assert office.attempts() == ["sent"]
    assert office.rows("SELECT message_id, sent_at, subject FROM billing_messages") == [
        (server.message_ids[0], office.clock.now(), message["Subject"])
    ]
    assert due(unit_of_work) == 0


def test_replaying_every_event_sends_nothing_twice(
    office: Office, server: MailServer, unit_of_work: UnitOfWork
) -> None:
    office.happens(office.ann(), office.paid("in_1"), office.paid("in_2"))
    assert office.send() == {"sent": 2}

    everything = ReplaySelection(since=unit_of_work.now() - timedelta(days=365))
    with unit_of_work.transaction() as session:
        replay_events(session, list_replayable(session, everything))
    assert drain(unit_of_work, DISPATCHER) == 3
    assert office.send() == {}

    assert len(set(server.message_ids)) == len(server.taken) == 2
    assert office.effects() == [("done", 1), ("done", 1)]


def test_every_fact_has_its_mail(office: Office, server: MailServer) -> None:
    now = office.now()
    lapsed = {"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "trialing"}
    items = {"items": {"object": "list", "data": []}}
    office.happens(
        office.ann(),
        {**office.paid(status="open", amount_paid=0, amount_remaining=900), "type": "invoice.payment_failed"},
        event("customer.subscription.trial_will_end", {**lapsed, **items, "trial_end": now + 9}, created=now),
        event("customer.subscription.deleted", {**lapsed, **items, "status": "canceled", "ended_at": now}, created=now),
    )

    assert office.send() == {"sent": 3}
    assert sorted(str(message["Subject"]) for message in server.taken) == [
        "Your payment of 9.00 USD did not go through",
        "Your subscription has ended",
        "Your trial ends on 1 March 2026",
    ]


@pytest.mark.parametrize("place", ["rcpt_answers", "data_answers"])
def test_a_passing_refusal_is_tried_again(office: Office, server: MailServer, clock: FixedClock, place: str) -> None:
    office.happens(office.ann(), office.paid())
    getattr(server, place).extend(["450 4.2.0 <ann@example.com>: greylisted", "451 4.3.0 busy"])

    assert office.send() == {"queued": 1}
    assert office.send() == {}
    assert office.rows("SELECT status, detail, next_attempt_at FROM billing_effects WHERE kind LIKE 'mail.%'") == [
        ("pending", "450 4.2.0 <***@***>: greylisted", clock.now() + timedelta(minutes=1))
    ]
    clock.advance(timedelta(minutes=1))
    assert office.send() == {"queued": 1}
    clock.advance(timedelta(minutes=2))
    assert office.send() == {"sent": 1}

    assert len(server.taken) == 1
    assert office.messages() == [("sent", 3, "ann@example.com")]
    assert office.attempts() == ["deferred", "deferred", "sent"]


def test_a_refusal_for_good_is_not_repeated(office: Office, server: MailServer, clock: FixedClock) -> None:
    office.happens(office.ann(), office.paid("in_1"), office.paid("in_2"))
    server.rcpt_answers.append("550 5.1.1 <ann@example.com>: no such user")

    assert office.send() == {"failed": 1, "sent": 1}
    clock.advance(timedelta(days=1))
    assert office.send() == {}

    assert len(server.taken) == 1
    assert office.effects() == [("failed", 1), ("done", 1)]
    assert office.rows("SELECT detail FROM billing_effects WHERE status = 'failed'") == [
        ("550 5.1.1 <***@***>: no such user",)
    ]
    assert office.attempts() == ["rejected", "sent"]


def test_a_server_that_is_away_delays_and_loses_nothing(office: Office, server: MailServer, clock: FixedClock) -> None:
    office.happens(office.ann(), office.paid("in_1"), office.paid("in_2"))

    assert office.send(mail_port=free_port()) == {"queued": 1}, "the second would fare the same"
    assert office.effects() == [("pending", 1), ("pending", 0)]
    clock.advance(timedelta(hours=1))
    assert office.send() == {"sent": 2}
    assert len(server.taken) == 2
    assert office.attempts() == ["deferred", "sent", "sent"]


def test_after_a_day_of_refusals_an_operator_is_asked(office: Office, server: MailServer, clock: FixedClock) -> None:
    office.happens(office.ann(), office.paid())
    server.rcpt_answers.extend(["450 later"] * 40)

    reached: list[str] = []
    began = clock.now()
    while clock.now() - began < timedelta(days=3):
        reached.extend(office.send())
        clock.advance(timedelta(hours=1))

    assert reached == ["queued"] * 29 + ["failed"]
    assert office.effects() == [("failed", 30)]


def test_a_crash_after_the_servers_yes_is_unknown_and_sent_once_more(
    office: Office, server: MailServer, unit_of_work: UnitOfWork
) -> None:
    office.happens(office.ann(), office.paid())
    crash(office)
    assert office.messages() == [("queued", 1, "ann@example.com")]
    assert office.effects() == [("running", 1)]
    assert due(unit_of_work) == 1

    assert office.send() == {"interrupted": 1, "sent": 1}

    assert len(server.taken) == 2
    assert len(set(server.message_ids)) == 1
    assert office.messages() == [("sent", 2, "ann@example.com")]
    assert office.attempts() == ["unknown", "sent"]
    assert office.effects() == [("done", 2)]


def test_what_is_unknown_twice_is_left_to_an_operator(office: Office, server: MailServer) -> None:
    office.happens(office.ann(), office.paid())
    crash(office)
    crash(office)
    assert office.send() == {"interrupted": 1}
    assert office.send() == {}

    assert len(server.taken) == 2
    assert office.messages() == [("unknown", 2, "ann@example.com")]
    assert office.effects() == [("unknown", 2)]
    assert office.rows("SELECT detail FROM billing_messages") == [
        (f"it may have been sent: {CRASHED}; it is not sent again",)
    ]


def test_by_policy_what_is_unknown_is_not_sent_again(office: Office, server: MailServer) -> None:
    office.happens(office.ann(), office.paid())
    crash(office)

    assert office.send(mail_resend_unknown=False) == {"interrupted": 1}

    assert len(server.taken) == 1
    assert office.effects() == [("unknown", 1)]


def test_nobody_takes_what_another_worker_is_sending(office: Office, server: MailServer) -> None:
    office.happens(office.ann(), office.paid())
    in_hand, may_go_on = threading.Event(), threading.Event()
    real = SmtpTransport.from_settings(office.settings)

    class Patient:
        def deliver(self, message: EmailMessage, *, sender: str, recipient: str) -> Reply:
            in_hand.set()
            assert may_go_on.wait(30)
            return real.deliver(message, sender=sender, recipient=recipient)

    reached: list[dict[str, int]] = []
    other = threading.Thread(target=lambda: reached.append(office.send(Patient())))
    other.start()
    assert in_hand.wait(30)
    assert office.send() == {}
    may_go_on.set()
    other.join(30)

    assert reached == [{"sent": 1}]
    assert len(server.taken) == 1


def test_an_answer_that_comes_after_the_lease_spares_the_second_sending(office: Office, server: MailServer) -> None:
    office.happens(office.ann(), office.paid())
    real = SmtpTransport.from_settings(office.settings)
    reached: list[dict[str, int]] = []

    class Late:
        def deliver(self, message: EmailMessage, *, sender: str, recipient: str) -> Reply:
            reply = real.deliver(message, sender=sender, recipient=recipient)
            # meanwhile another worker finds the lease over, and cannot reach the server
            reached.append(office.send(mail_resend_unknown=True, mail_port=free_port()))
            return reply

    assert office.send(Late(), lease=timedelta(0)) == {"sent": 1}

    assert reached == [{"interrupted": 1, "unknown": 1}]
    assert len(server.taken) == 1
    assert office.effects() == [("done", 2)]
    assert office.attempts() == ["sent", "deferred"]


def test_a_connection_lost_after_the_whole_message_is_unknown(
    office: Office, server: MailServer, clock: FixedClock
) -> None:
    office.happens(office.ann(), office.paid())
    server.data_answers.append(HANG_UP)

    assert office.send() == {"unknown": 1}
    assert office.send() == {}
    clock.advance(timedelta(minutes=1))
    assert office.send() == {"sent": 1}

    assert len(server.taken) == 2
    assert len(set(server.message_ids)) == 1
    assert office.attempts() == ["unknown", "sent"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mail_enabled": False}, "mail is off (MAIL_ENABLED=false)"),
        ({"mail_from": ""}, "there is no sender (MAIL_FROM is not set)"),
    ],
)
def test_without_mail_messages_are_suppressed_and_stay_so(
    office: Office, server: MailServer, changes: dict[str, Any], why: str
) -> None:
    office.happens(office.ann(), office.paid("in_1"), office.paid("in_2"))

    assert office.send(**changes) == {"suppressed": 2}
    assert office.send() == {}

    assert server.taken == []
    assert office.messages() == [("suppressed", 0, None)] * 2
    assert office.rows("SELECT status, detail FROM billing_effects WHERE kind LIKE 'mail.%'") == [("skipped", why)] * 2


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"email": None}, "the customer has no mail address"),
        ({"email": "ann@example.com\nBcc: eve@example.com"}, "the customer's mail address cannot be written to"),
    ],
)
def test_a_customer_without_a_usable_address_gets_none(
    office: Office, server: MailServer, fields: dict[str, Any], why: str
) -> None:
    office.happens(office.ann(**fields), office.paid())

    assert office.send() == {"suppressed": 1}

    assert server.taken == []
    assert office.messages() == [("suppressed", 0, None)]
    assert office.rows("SELECT detail FROM billing_messages") == [(why,)]


def test_a_customer_whose_own_event_comes_later_is_waited_for(
    office: Office, server: MailServer, clock: FixedClock
) -> None:
    office.happens(office.paid())
    assert office.send() == {"queued": 1}
    clock.advance(timedelta(minutes=1))
    office.happens(office.ann())
    assert office.send() == {"sent": 1}

    assert len(server.taken) == 1
    assert office.attempts() == ["sent"]


def test_a_customer_who_never_comes_is_waited_for_half_an_hour(
    office: Office, server: MailServer, clock: FixedClock
) -> None:
    office.happens(office.paid())
    reached: list[str] = []
    for _ in range(8):
        reached.extend(office.send())
        clock.advance(timedelta(minutes=20))

    assert reached == ["queued"] * 5 + ["suppressed"]
    assert server.taken == []


def test_old_news_is_not_sent(office: Office, server: MailServer, clock: FixedClock) -> None:
    old = office.paid("in_1")
    fresh = office.paid("in_2")
    clock.advance(timedelta(days=8))
    store_now = office.ann()
    office.happens(store_now, old)
    assert office.effects() == [("skipped", 0)]

    clock.advance(timedelta(days=-2))
    office.happens(fresh)
    server.rcpt_answers.append("450 later")
    assert office.send() == {"queued": 1}
    clock.advance(timedelta(days=2))
    assert office.send() == {"suppressed": 1}
    assert server.taken == []
    assert office.rows("SELECT detail FROM billing_messages") == [("came after its time",)]


def test_what_cannot_be_written_stops_nobody_else(office: Office, server: MailServer) -> None:
    office.happens(office.ann(), office.paid("in_1"), office.paid("in_2"))
    with office.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE billing.billing_effects SET payload = '{}' WHERE effect_key = 'mail:invoice_paid:in_1:paid'"
        )

    assert office.send() == {"failed": 1, "sent": 1}
    assert len(server.taken) == 1
    assert office.effects() == [("failed", 1), ("done", 1)]


def test_a_login_that_is_refused_blames_no_message(office: Office) -> None:
    office.happens(office.ann(), office.paid())
    with run_mail_server(wants_login=True) as guarded:
        known: dict[str, Any] = {"mail_port": guarded.port, "mail_username": "billing"}
        assert office.send(**known, mail_password=SecretStr("wrong")) == {"queued": 1}
        office.clock.advance(timedelta(minutes=1))
        assert office.send(mail_port=guarded.port) == {"queued": 1}, "without a login: 530 is not about the message"
        office.clock.advance(timedelta(minutes=2))
        assert office.send(**known, mail_password=SecretStr("right")) == {"sent": 1}
        assert len(guarded.taken) == 1
        assert {login.password for login in guarded.logins[:-1]} == {b"wrong"}, "by each method the server knows"
        assert guarded.logins[-1].password == b"right"
    assert office.attempts() == ["deferred", "deferred", "sent"]
    answers = office.rows("SELECT left(detail, 3) FROM billing_message_attempts ORDER BY attempt")
    assert answers == [("535",), ("530",), ("250",)]


def test_without_tls_nothing_is_said_where_tls_is_asked_for(office: Office, server: MailServer) -> None:
    office.happens(office.ann(), office.paid())

    assert office.send(mail_starttls=True) == {"queued": 1}
    assert server.taken == []
    assert office.attempts() == ["deferred"]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate of localhost and its key, in one file."""
    made = tmp_path / "localhost.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", made, "-out", tmp_path / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )
    made.write_text(made.read_text() + (tmp_path / "certificate.pem").read_text())
    return made


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls_is_used_and_only_with_a_server_that_proves_who_it_is(
    office: Office, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.happens(office.ann(), office.paid())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with run_mail_server(tls=context) as guarded:
        asked: dict[str, Any] = {"mail_port": guarded.port, "mail_host": "localhost", "mail_starttls": True}
        assert office.send(**asked) == {"queued": 1}, "nobody vouches for this certificate yet"
        assert guarded.taken == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        office.clock.advance(timedelta(minutes=1))
        assert office.send(**asked) == {"sent": 1}
        assert len(guarded.taken) == 1
    assert office.attempts() == ["deferred", "sent"]


def test_a_dot_alone_on_a_line_does_not_end_the_message(server: MailServer) -> None:
    email = EmailMessage()
    email["Subject"] = "dots"
    email.set_content(".\n..\nend")
    transport = SmtpTransport(host="127.0.0.1", port=server.port, timeout=timedelta(seconds=10))

    reply = transport.deliver(email, sender="a@example.com", recipient="b@example.com")

    assert reply.outcome is AttemptOutcome.SENT
    assert server.taken[0].get_content().splitlines() == [".", "..", "end"]


def test_no_address_is_in_a_log_line_or_an_effect(office: Office, server: MailServer) -> None:
    office.happens(office.ann(), office.paid("in_1"), office.paid("in_2"))
    server.rcpt_answers.append("450 <ann@example.com>: greylisted")
    with capture_logs() as lines:
        assert office.send() == {"queued": 1, "sent": 1}

    assert [line["event"] for line in lines] == ["mail_deferred", "mail_sent"]
    kept = office.rows("SELECT payload::text, detail FROM billing_effects")
    assert "example.com" not in str(lines) + str(kept)
