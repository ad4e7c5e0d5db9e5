from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.cli.nself import Nself, WarmNself

ROWS = (
    (
        "INSERT INTO billing_effects (id, effect_key, kind, object_key, customer_id, status, attempts, next_attempt_at,"
        " created_at) OVERRIDING SYSTEM VALUE VALUES"
        " (1, 'mail:invoice_paid:in_1:paid', 'mail.invoice_paid', '/invoice/in_1', 'cus_1', 'done', 2, '2026-03-01',"
        " '2026-03-01'),"
        " (2, 'mail:subscription_canceled:sub_1:5', 'mail.subscription_canceled', '/subscription/sub_1', 'cus_2',"
        " 'pending', 1, '2026-03-02', '2026-03-01'),"
        " (3, 'mail:invoice_payment_failed:in_2:1:5', 'mail.invoice_payment_failed', '/invoice/in_2', 'cus_2',"
        " 'skipped', 0, '2026-03-01', '2026-03-01')"
    ),
    (
        "INSERT INTO billing_messages (id, effect_id, message_id, customer_id, template, recipient, subject, status,"
        " attempts, detail, queued_at, sent_at) OVERRIDING SYSTEM VALUE VALUES"
        " (11, 1, '<a@example.com>', 'cus_1', 'invoice_paid', 'ann@example.com', 'Your receipt', 'sent', 2, '250 OK',"
        " '2026-03-01', '2026-03-01 00:05Z'),"
        " (12, 2, '<b@example.com>', 'cus_2', 'subscription_canceled', 'bob@example.com', 'It ended', 'queued', 1,"
        " '450 later', '2026-03-01', NULL),"
        " (13, 3, '<c@example.com>', 'cus_2', 'invoice_payment_failed', NULL, '', 'suppressed', 0, 'mail is off',"
        " '2026-03-01', NULL)"
    ),
    (
        "INSERT INTO billing_message_attempts (message_id, attempt, started_at, lease_until, ended_at, outcome, detail)"
        " VALUES (11, 2, '2026-03-01 00:05Z', '2026-03-01', '2026-03-01 00:05Z', 'sent', '250 OK'),"
        " (11, 1, '2026-03-01 00:00Z', '2026-03-01', '2026-03-01 00:01Z', 'deferred', '450 later')"
    ),
)


@pytest.fixture
def nself(tmp_path: Path, database_url: str) -> Nself:
    return WarmNself(tmp_path, {"DATABASE_URL": database_url})


@pytest.fixture
def stored(engine: Engine) -> None:
    with engine.begin() as connection:
        for statement in ROWS:
            connection.execute(text(statement))


def told(nself: Nself, *arguments: str) -> Any:
    done = nself("billing", "email", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("stored")
def test_messages_are_listed_newest_first_and_by_what_they_are_about(nself: Nself) -> None:
    assert [(row["message"], row["status"]) for row in told(nself, "list")] == [
        ("msg_13", "suppressed"),
        ("msg_12", "queued"),
        ("msg_11", "sent"),
    ]
    assert [row["message"] for row in told(nself, "list", "--type", "invoice")] == ["msg_13", "msg_11"]
    assert [row["message"] for row in told(nself, "list", "--type", "invoice", "--limit", "1")] == ["msg_13"]
    assert [row["type"] for row in told(nself, "list", "--type", "invoice_paid")] == ["invoice_paid"]
    assert [row["recipient"] for row in told(nself, "list", "--customer", "cus_1")] == ["ann@example.com"]
    wrong = nself("billing", "email", "list", "--type", "invoices")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "subscription" in wrong.stderr


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("asked", ["msg_11", "11", "<a@example.com>", "a@example.com"])
def test_a_messages_status_names_its_cause(nself: Nself, asked: str) -> None:
    assert told(nself, "status", asked) == {
        "message": "msg_11",
        "type": "invoice_paid",
        "customer": "cus_1",
        "recipient": "ann@example.com",
        "status": "sent",
        "attempts": 2,
        "queued_at": "2026-03-01T00:00:00+00:00",
        "sent_at": "2026-03-01T00:05:00+00:00",
        "detail": "250 OK",
        "subject": "Your receipt",
        "message_id": "<a@example.com>",
        "effect": "mail:invoice_paid:in_1:paid",
        "effect_status": "done",
        "event": None,
        "next_attempt_at": None,
    }


@pytest.mark.usefixtures("stored")
def test_what_waits_says_until_when(nself: Nself) -> None:
    waiting = told(nself, "status", "msg_12")
    assert (waiting["next_attempt_at"], waiting["detail"]) == ("2026-03-02T00:00:00+00:00", "450 later")


@pytest.mark.usefixtures("stored")
def test_a_message_is_tracked_through_its_attempts(nself: Nself) -> None:
    tracked = told(nself, "track", "msg_11")
    assert [(row["attempt"], row["outcome"], row["answer"]) for row in tracked["history"]] == [
        (1, "deferred", "450 later"),
        (2, "sent", "250 OK"),
    ]
    assert tracked["attempts"] == 2
    for_people = nself("billing", "email", "track", "msg_11")
    assert for_people.returncode == 0
    assert [line.split()[0] for line in for_people.stdout.splitlines()[-2:]] == ["1", "2"]
    untried = nself("billing", "email", "track", "msg_13")
    assert (untried.returncode, untried.stderr) == (0, "no mail server was asked yet\n")


@pytest.mark.parametrize("verb", ["status", "track"])
@pytest.mark.parametrize("asked", ["msg_123", "99999999999999999999", "nobody"])
def test_an_unknown_message_is_not_found(nself: Nself, verb: str, asked: str) -> None:
    missing = nself("billing", "email", verb, asked)
    assert (missing.returncode, missing.stdout) == (4, "")
    assert f"no message {asked}; `nself billing email list`" in missing.stderr


def test_the_settings_are_shown_with_what_follows_and_without_the_password(tmp_path: Path) -> None:
    nself = WarmNself(tmp_path)
    off = told(nself, "show-config")
    assert (off["sends"], off["why_not"]) == (False, "mail is off (MAIL_ENABLED=false)")
    for assignment in ("MAIL_ENABLED=true", "MAIL_FROM=user@example.com", "MAIL_HOST=smtp.example.com"):
        assert nself("env", "set", assignment).returncode == 0, assignment
    shown = nself("billing", "email", "show-config", "--json", MAIL_PASSWORD="hush-hush")
    config = json.loads(shown.stdout)
    assert (config["sends"], config["MAIL_FROM"], config["MAIL_PASSWORD"]) == (True, "user@example.com", "***")
    assert (config["MAIL_PORT"], config["MAIL_TIMEOUT"], config["MAIL_RESEND_UNKNOWN"]) == (25, 10.0, True)
    assert "hush" not in shown.stdout + shown.stderr
    half = nself("billing", "email", "show-config", MAIL_ENABLED="true", NSELF_ENV_FILE=str(tmp_path / "none"))
    assert half.returncode == 0
    assert "nself env set MAIL_FROM=" in half.stderr
