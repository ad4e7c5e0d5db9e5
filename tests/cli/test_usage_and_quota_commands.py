"""The usage and quota commands as an operator types them, each in a process of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.cli.nself import Nself, WarmNself


@pytest.fixture
def nself(tmp_path: Path, database_url: str) -> Nself:
    return WarmNself(tmp_path, {"DATABASE_URL": database_url, "BILLING_TIMEZONE": "Asia/Kolkata"})


def answer(nself: Nself, *arguments: str) -> object:
    """Run a command that must work and read its JSON."""
    done = nself("billing", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(nself: Nself, *arguments: str) -> tuple[int, str]:
    """Run a command that must not work: its exit code and what it says."""
    done = nself("billing", *arguments)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_usage_from_record_to_comparison(nself: Nself, engine: Engine) -> None:
    record = ("usage", "record", "--user", "user123", "--metric", "api_calls", "--value")
    late = ("--at", "2026-01-31T18:00:00Z", "--idempotency-key", "k1")
    first = answer(nself, *record, "3", *late)
    assert isinstance(first, dict)
    assert (first["recorded"], first["duplicates"], first["used_at"]) == (1, 0, "2026-01-31T18:00:00+00:00")
    assert answer(nself, *record, "3", *late) == first | {"recorded": 0, "duplicates": 1, "batch": None}
    code, said = refusal(nself, *record, "4", *late)
    assert (code, "'k1'" in said) == (3, True)
    answer(nself, *record, "2", "--at", "2026-01-31T18:30:00Z")  # 1 February in Kolkata
    lag = answer(nself, "usage", "show-lag")
    assert isinstance(lag, dict)
    assert (lag["batches"], lag["records"], lag["lag"] >= 0) == (2, 2, True)
    january = ("usage", "show", "--user", "user123", "--month", "2026-01")
    assert answer(nself, *january) == [
        {
            "user": "user123",
            "metric": "api_calls",
            "value": 0,
            "unit": "call",
            "billed_quantity": 0,
            "formula": "sum",
            "records": 0,
            "waiting": 1,
            "start": "2025-12-31T18:30:00+00:00",
            "end": "2026-01-31T18:30:00+00:00",
        }
    ]
    assert answer(nself, "usage", "aggregate", "--force") == {
        "batches": 2,
        "records": 2,
        "quota_periods": 0,
        "blocked": 0,
        "released": 0,
    }
    shown = answer(nself, *january, "--metric", "api_calls")
    assert isinstance(shown, list)
    assert [(line["value"], line["records"], line["waiting"]) for line in shown] == [(3, 1, 0)]
    status = answer(nself, "usage", "aggregation-status")
    assert isinstance(status, dict)
    assert (status["state"], status["open_batches"], status["interval"]) == ("up to date", 0, 60)
    compare = ("usage", "compare", "--user", "user123", "--start", "2026-01-01", "--end", "2026-01-31")
    days = answer(nself, *compare)
    assert isinstance(days, list)
    assert [(day["bucket_start"], day["raw_sum"], day["differs"]) for day in days] == [
        ("2026-01-30T18:30:00+00:00", 3, False)
    ]
    with engine.begin() as connection:
        connection.execute(text("UPDATE billing_usage_daily SET sum_value = 9 WHERE sum_value = 3"))
    damaged = nself("billing", *compare)
    assert damaged.returncode == 1
    assert "1 of 1 daily rollups differ" in damaged.stderr
    collector = answer(nself, "usage", "collector-status")
    assert isinstance(collector, dict)
    assert [(one["source"], one["records_last_hour"]) for one in collector["sources"]] == [("cli", 2)]
    assert (collector["buffer"]["enabled"], collector["held"]) == (False, {})
    with engine.connect() as connection:
        actions = connection.execute(text("SELECT command, outcome FROM billing_operator_actions ORDER BY id")).all()
    assert [tuple(row) for row in actions] == [
        ("nself billing usage record", "done"),
        ("nself billing usage record", "done"),
        ("nself billing usage record", "refused"),
        ("nself billing usage record", "done"),
        ("nself billing usage aggregate", "done"),
    ]


def test_held_usage_is_listed_released_and_discarded(nself: Nself, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO auth.users (id) VALUES ('user123')"))
    record = ("usage", "record", "--user", "user9", "--metric", "api_calls", "--value", "2")
    code, said = refusal(nself, *record)
    assert (code, "unknown user 'user9': auth.users has no such id" in said) == (4, True)
    nself = WarmNself(nself.folder, {**nself.variables, "USAGE_UNKNOWN": "hold"})
    held = answer(nself, *record)
    assert isinstance(held, dict)
    assert (held["recorded"], held["held"]) == (1, "unknown_user")
    listed = answer(nself, "usage", "list-held")
    assert isinstance(listed, list)
    assert [(one["user"], one["value"], one["reason"]) for one in listed] == [("user9", 2, "unknown_user")]
    assert answer(nself, "usage", "release-held") == {"released": 0, "waiting": 1, "refused": 0}
    number = str(listed[0]["id"])
    assert refusal(nself, "usage", "discard-held", "999", "--reason", "test")[0] == 4
    assert answer(nself, "usage", "discard-held", number, "--reason", "a typing error") == listed
    assert answer(nself, "usage", "list-held") == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("usage", "record", "--value", "1.5"), 2, "Invalid integer: 1.5. Whole numbers only, for example 2"),
        (("usage", "record", "--value", "2"), 2, "Missing option '--user'"),
        (("usage", "record", "--user", "u", "--metric", "calls", "--value", "2"), 2, "known metrics: active_users"),
        (("usage", "show", "--user", "u", "--month", "January"), 2, "'January' is no span"),
        (("usage", "show", "--user", "u", "--month", "2026-01", "--period", "day"), 2, "name the span once"),
        (("usage", "compare", "--user", "u", "--end", "2026-01-31"), 2, "--end needs --start"),
        (("usage", "show-formula", "--metric", "x"), 2, "unknown metric 'x'"),
        (("quota", "show", "--user", "nobody"), 4, "nself billing quota set --user nobody"),
        (("quota", "reset", "--user", "nobody"), 4, "user nobody has no quota"),
        (("quota", "check", "--user", "nobody"), 4, "user nobody has no quota"),
        (("quota", "check", "--user", "u", "--units", "2"), 2, "--metric api_calls"),
        (
            ("quota", "set", "--metric", "api_calls", "--limit", "1", "--period", "day"),
            2,
            "--user user123, or --price price_123",
        ),
        (
            ("quota", "set", "--user", "u", "--metric", "api_calls", "--limit", "ten", "--period", "day"),
            2,
            "for example 1000",
        ),
        (
            ("quota", "set", "--user", "u", "--metric", "api_calls", "--limit", "1", "--period", "billing"),
            3,
            "--period month",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    nself: Nself, arguments: tuple[str, ...], code: int, said: str
) -> None:
    answered, words = refusal(nself, *arguments)
    assert (answered, said in words) == (code, True)


def test_a_quota_from_setting_to_reset(nself: Nself, engine: Engine) -> None:
    quota = answer(
        nself, "quota", "set", "--user", "user123", "--metric", "api_calls", "--limit", "10", "--period", "month"
    )
    assert isinstance(quota, dict)
    assert (quota["used"], quota["remaining"], quota["blocked_at"]) == (0, 10, None)
    answer(nself, "usage", "record", "--user", "user123", "--metric", "api_calls", "--value", "11")
    report = answer(nself, "usage", "aggregate")
    assert isinstance(report, dict)
    assert (report["quota_periods"], report["blocked"]) == (1, 1)
    states = answer(nself, "quota", "status", "--user", "user123")
    assert isinstance(states, list)
    assert [(one["state"], one["used"], one["granted"]) for one in states] == [("blocked", 11, 10)]
    shown = nself("billing", "quota", "show", "--user", "user123").stdout
    assert next(line.split() for line in shown.splitlines() if "period" in line) == ["period", "month"]
    preview = answer(nself, "quota", "reset", "--user", "user123", "--dry-run")
    assert isinstance(preview, list)
    assert [one["state"] for one in preview] == ["blocked"]
    reset = answer(nself, "quota", "reset", "--user", "user123", "--reason", "agreed with the customer")
    assert isinstance(reset, list)
    assert [(one["used"], one["blocked_at"], one["period_end"]) for one in reset] == [(0, None, quota["period_end"])]
    resets = answer(nself, "quota", "show-resets", "--user", "user123")
    assert isinstance(resets, list)
    assert [(one["used"], one["was_blocked"], one["reset_by"]) for one in resets] == [(11, True, "operator")]
    assert answer(nself, "quota", "last-reset", "--user", "user123") == resets
    coming = answer(nself, "quota", "next-reset")
    assert isinstance(coming, dict)
    assert (coming["next_reset_at"], coming["quotas"], coming["overdue"]) == (quota["period_end"], 1, 0)
    with engine.connect() as connection:
        reasons = connection.execute(
            text("SELECT reason FROM billing_operator_actions WHERE command LIKE '%quota reset'")
        ).scalars()
        assert list(reasons) == ["agreed with the customer"]


def test_schedules_and_metrics_are_shown(nself: Nself, engine: Engine) -> None:
    due_at = datetime.now(UTC) + timedelta(minutes=1)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO billing_schedule_jobs (job, schedule, next_due_at, updated_at) "
                "VALUES ('usage_aggregation', '60 s', :due_at, :due_at)"
            ),
            {"due_at": due_at},
        )
    usage = answer(nself, "usage", "show-schedule")
    assert isinstance(usage, dict)
    assert (usage["every"], usage["setting"]) == (60, "USAGE_AGGREGATION_INTERVAL")
    assert datetime.fromisoformat(usage["next_due_at"]) == due_at
    quotas = answer(nself, "quota", "show-schedule")
    assert isinstance(quotas, dict)
    assert (quotas["cron"], quotas["zone"], quotas["next_due_at"]) == ("5 0 * * *", "Asia/Kolkata", None)
    assert answer(nself, "quota", "show-cron") == {"job": "quota_reset", "cron": "5 0 * * *", "zone": "Asia/Kolkata"}
    metrics = answer(nself, "usage", "list-metrics")
    assert isinstance(metrics, list)
    assert {"api_calls": "sum", "storage_gb": "max"}.items() <= {one["name"]: one["formula"] for one in metrics}.items()
    formula = answer(nself, "usage", "show-formula", "--metric", "tokens")
    assert isinstance(formula, dict)
    assert formula["meaning"] == "all values added, rounded up to started 1000s"


def test_the_guides_way_through_a_wrong_block(nself: Nself, engine: Engine) -> None:
    user = ("--user", "user123")
    set_quota = ("quota", "set", *user, "--metric", "api_calls", "--limit", "10", "--period", "month")
    answer(nself, *set_quota, "--alert-at", "50,100", "--rollover", "--fail-open")
    [asked] = rows(nself, "quota", "check", *user)
    assert (asked["allowed"], asked["reason"], asked["remaining"]) == (True, "granted", 10)
    [taken] = rows(nself, "quota", "check", *user, "--metric", "api_calls", "--units", "9")
    assert (taken["allowed"], taken["decided_by"], taken["remaining"]) == (True, "postgresql", 1)
    refused = nself("billing", "quota", "check", *user, "--metric", "api_calls", "--units", "2", "--json")
    assert (refused.returncode, json.loads(refused.stdout)[0]["reason"]) == (1, "used_up")
    cases = rows(nself, "quota", "test-enforce", *user)
    assert [(one["case"], one["units"], one["answered"]) for one in cases] == [
        ("one unit", 1, "allowed"),
        ("all that is left", 1, "allowed"),
        ("one more than is left", 2, "refused"),
    ]
    answer(nself, "usage", "record", *user, "--metric", "api_calls", "--value", "10")
    [behind] = rows(nself, "quota", "compare", *user)
    assert (behind["counter"], behind["raw"], behind["waiting"], behind["differs"]) == (0, 10, 1, False)
    answer(nself, "usage", "aggregate")
    [sum_of_it] = rows(nself, "quota", "show-calculation", *user)
    assert sum_of_it["why"] == "10 granted - (10 recorded + 9 spent - 9 settled) - 0 held = 0"
    code, said = refusal(nself, "quota", "unblock", *user)
    assert (code, "quota reset --user user123" in said) == (3, True)
    answer(nself, "quota", "reset", *user)
    [released] = rows(nself, "quota", "unblock", *user)
    assert (released["state"], released["remaining"]) == ("ok", 10)
    assert answer(nself, "quota", "reset-all", "--force") == {"due": 0, "closed": 0, "passed": 0, "released": 0}
    planned = answer(nself, "quota", "schedule-reset")
    assert isinstance(planned, dict)
    assert planned["next_due_at"] is not None
    [blocked] = rows(nself, "quota", "what-if", "--metric", "api_calls", "--limit", "10", "--period", "month")
    assert (blocked["user"], blocked["used"], blocked["exact"]) == ("user123", 10, True)
    plan = answer(nself, *set_quota[:2], "--price", "price_1", *set_quota[4:], "--soft")
    assert isinstance(plan, dict)
    assert (plan["price"], plan["enforcement"], plan["users"]) == ("price_1", "soft", 0)
    with engine.connect() as connection:
        told = connection.execute(text("SELECT effect_key FROM billing_effects ORDER BY id")).scalars()
        assert [key.rpartition(":")[2] for key in told] == ["50", "100"]


def rows(nself: Nself, *arguments: str) -> list[dict[str, object]]:
    """Run a command that must work and read its rows."""
    found = answer(nself, *arguments)
    assert isinstance(found, list)
    return found
