"""`nself billing status`, `health` and `errors` as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.cli.nself import Nself, WarmNself

STOPPED = (
    (
        "INSERT INTO billing_webhook_events (event_id, type, object_key, lane, created, received_at, last_delivery_at, "
        "status, reason, detail, finished_at) SELECT 'evt_' || n, 'invoice.paid', '/invoice/in_1', 3, now(), now(), "
        "now(), 'failed', 'attempts_exhausted', 'ValueError: no ' || n, clock_timestamp() - n * interval '1 minute' "
        "FROM generate_series(1, 3) n"
    ),
    (
        "INSERT INTO billing_effects (effect_key, kind, object_key, status, next_attempt_at, created_at, finished_at, "
        "detail) VALUES ('k', 'mail.send', '/invoice/in_1', 'failed', now(), now(), now(), 'SMTPError: refused')"
    ),
    (
        "INSERT INTO billing_schedule_runs (job, due_at, status, created_at, finished_at, detail) "
        "VALUES ('usage_aggregation', '2026-03-01T10:00Z', 'failed', now(), now(), 'RetryableError: away')"
    ),
    (
        "INSERT INTO billing_intents (id, intent_key, operation, parameters, api_version, idempotency_key, status, "
        "next_attempt_at, created_at, finished_at, detail) VALUES ('00000000-0000-0000-0000-000000000001', 'k', "
        "'invoices.pay', '{}', 'v', 'i', 'parked', now(), now(), now(), 'no outcome after 40 attempts')"
    ),
    (
        "INSERT INTO billing_reconciliation_runs (started_by, scope, status, started_at, heartbeat_at, finished_at, "
        "detail) VALUES ('anna', '{}', 'incomplete', now(), now(), now(), 'Stripe was away')"
    ),
)
OLD = (
    "UPDATE billing_webhook_events SET finished_at = finished_at - interval '3 days'",
    "UPDATE billing_effects SET finished_at = finished_at - interval '3 days'",
    "UPDATE billing_schedule_runs SET finished_at = finished_at - interval '3 days'",
    "UPDATE billing_intents SET finished_at = finished_at - interval '3 days'",
    "UPDATE billing_reconciliation_runs SET finished_at = finished_at - interval '3 days'",
)


@pytest.fixture
def nself(tmp_path: Path, database_url: str) -> Nself:
    away = {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "STRIPE_API_BASE": "http://127.0.0.1:1",
        "STRIPE_SECRET_KEY": "sk_test_x",
    }
    return WarmNself(tmp_path, {"DATABASE_URL": database_url, **away})


def run(engine: Engine, statements: tuple[str, ...]) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def ask(nself: Nself, *arguments: str, code: int = 0, **variables: str) -> Any:
    done = nself("billing", *arguments, "--json", **variables)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_errors_are_grouped_with_the_newest_and_what_to_do(nself: Nself, engine: Engine) -> None:
    assert ask(nself, "errors", "--last", "24h") == []
    run(engine, STOPPED)
    groups = ask(nself, "errors", "--last", "24h", code=1)
    assert list(groups[0]) == ["kind", "subject", "reason", "count", "newest_at", "example", "detail", "advice"]
    assert [(each["kind"], each["subject"], each["reason"], each["count"], each["example"]) for each in groups] == [
        ("event failed", "invoice.paid", "attempts_exhausted", 3, "evt_1"),
        ("effect failed", "mail.send", "SMTPError", 1, "1"),
        ("intent parked", "invoices.pay", "no outcome after 40 attempts", 1, "00000000-0000-0000-0000-000000000001"),
        ("reconciliation incomplete", "anna", "Stripe was away", 1, "1"),
        ("run failed", "usage_aggregation", "RetryableError", 1, "2026-03-01T10:00Z"),
    ]
    assert groups[0]["detail"] == "ValueError: no 1"
    assert "`nself billing webhook replay evt_1`" in groups[0]["advice"]
    run(engine, OLD)
    assert ask(nself, "errors", "--last", "1d") == []
    assert len(ask(nself, "errors", "--last", "7d", code=1)) == 5
    wrong = nself("billing", "errors", "--last", "24")
    assert (wrong.returncode, "write for example 60s, 5m, 24h or 7d" in wrong.stderr) == (2, True)


def test_the_advice_for_a_failed_effect_works_as_written(nself: Nself, engine: Engine) -> None:
    run(engine, STOPPED[1:2])
    [group] = ask(nself, "errors", code=1)
    advised = group["advice"].partition('"')[2].partition('"')[0]
    done = nself("db", "query", advised, "--write", "--reason", "the mail server is back")
    assert done.returncode == 0, done.stderr
    with engine.connect() as connection:
        assert connection.execute(text("SELECT status, attempts FROM billing_effects")).one() == ("pending", 0)


def test_health_of_one_component_is_well_or_not(nself: Nself, engine: Engine) -> None:
    told = ask(nself, "health", "--component", "quotas")
    assert (told["verdict"], [each["check"] for each in told["findings"]]) == (
        "ok",
        ["resets", "blocks", "leases", "enforcement"],
    )
    assert list(told["findings"][0]) == ["component", "check", "verdict", "evidence", "cause", "commands"]
    run(engine, STOPPED[:1])
    sick = nself("billing", "health", "--component", "webhooks")
    assert (sick.returncode, "3 failed, 0 quarantined" in sick.stdout) == (1, True)
    assert "nself billing webhook replay --status failed --since 24h" in sick.stderr
    unknown = nself("billing", "health", "--component", "coffee")
    assert (unknown.returncode, unknown.stdout) == (2, "")


def test_health_answers_while_everything_is_away(nself: Nself) -> None:
    told = ask(nself, "health", code=1, DATABASE_URL="postgresql://billing@127.0.0.1:1/billing")
    assert told["verdict"] == "failed"
    assert {each["component"] for each in told["findings"]} == {
        "database",
        "redis",
        "workers",
        "schedules",
        "webhooks",
        "usage",
        "quotas",
        "stripe",
    }
    assert all(each["cause"] and each["commands"] for each in told["findings"] if each["verdict"] != "ok")


def test_status_is_one_screen_and_points_further(nself: Nself, engine: Engine) -> None:
    told = ask(nself, "status")
    assert list(told) == [
        "processes",
        "at",
        "clock_offset_seconds",
        "switches",
        "inbox",
        "effects",
        "schedules",
        "payments_waiting",
        "last_reconciliation",
        "attention",
    ]
    assert (told["attention"], told["processes"]["services"]) == ([], [])
    assert told["processes"]["note"].startswith("not managed here")
    run(engine, (*STOPPED, "UPDATE billing_clock SET offset_seconds = 3600"))
    sick = nself("billing", "status")
    assert sick.returncode == 1
    assert len(sick.stdout.splitlines() + sick.stderr.splitlines()) <= 24
    assert "3600 s ahead, driven by the sandbox" in sick.stdout
    assert sick.stderr.splitlines() == [
        "! 3 events could not be applied: `nself billing webhook failures`",
        "! 1 scheduled runs failed in 24 h: `nself billing errors --last 24h`",
        "! 1 effects failed or ended unknown: `nself billing errors --last 7d`",
        "! 1 calls to Stripe are parked: `nself billing errors --last 7d`",
        "! the last reconciliation is incomplete: `nself billing reconcile status`",
    ]


def test_status_without_a_database_is_unavailable(nself: Nself) -> None:
    told = nself("billing", "status", DATABASE_URL="postgresql://billing@127.0.0.1:1/billing")
    assert (told.returncode, "PostgreSQL does not answer" in told.stderr) == (5, True)
    assert "not managed here" in told.stdout
