"""`nself billing webhook` as an operator types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from billing_worker.database.clock import DatabaseClock
from billing_worker.database.unit_of_work import UnitOfWork
from tests.cli.nself import CHECKOUT, Nself, WarmNself
from tests.support.deliveries import RecordingReactions, customer, drain, event, store, subscription
from tests.support.stripe_sandbox import KEY, Sandbox, run_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def nself(tmp_path: Path, database_url: str, redis_url: str, sandbox: Sandbox, engine: Engine) -> Nself:
    """Five events: three applied (one delivered twice), one failed, one quarantined, all received an hour ago."""
    clock = DatabaseClock(engine)
    now = clock.now() - timedelta(hours=1)
    events = [
        event("customer.created", customer("cus_1"), event_id="evt_1"),
        event("customer.updated", customer("cus_1"), event_id="evt_2", created=1_769_904_020),
        event("customer.subscription.created", subscription("sub_1"), event_id="evt_3"),
        event("customer.created", customer("cus_2"), event_id="evt_4"),
        {**event("invoice.paid", {"id": "in_1", "object": "invoice"}, event_id="evt_5"), "livemode": True},
    ]
    store(engine, [*events, events[0]], now)
    drain(UnitOfWork(engine, clock, statement_timeout=timedelta(seconds=30)), RecordingReactions())
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE billing_webhook_events SET status = 'failed', reason = 'attempts_exhausted' "
                "WHERE event_id = 'evt_4'"
            )
        )
    variables = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_API_BASE": sandbox.url,
    }
    return WarmNself(tmp_path, variables)


def ask(nself: Nself, *arguments: str, code: int = 0, **variables: str) -> Any:
    done = nself("billing", "webhook", *arguments, "--json", **variables)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def statuses(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT event_id, status FROM billing_webhook_events ORDER BY id"))
        return {row.event_id: row.status for row in rows}


def actions(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        statement = text("SELECT command, arguments, outcome FROM billing_operator_actions ORDER BY id")
        return [tuple(row) for row in connection.execute(statement)]


def waiting(redis_url: str) -> int:
    with Redis.from_url(redis_url) as redis:
        return sum(redis.llen(f"webhooks.{number}") for number in range(4))


def test_lists_are_the_rows(nself: Nself) -> None:
    everything = ask(nself, "events")
    assert [row["event_id"] for row in everything] == ["evt_5", "evt_4", "evt_3", "evt_2", "evt_1"]
    assert list(everything[0]) == [
        "event_id",
        "type",
        "object",
        "created",
        "received",
        "status",
        "source",
        "deliveries",
        "reason",
    ]
    assert [row["event_id"] for row in ask(nself, "events", "--object", "cus_1", "--limit", "2")] == ["evt_2", "evt_3"]
    narrow = ("events", "--status", "failed", "--type", "customer.created", "--since")
    assert (ask(nself, *narrow, "30m"), [row["event_id"] for row in ask(nself, *narrow, "2h")]) == ([], ["evt_4"])
    failures = ask(nself, "failures", "--last", "100", code=1)
    assert [(row["event_id"], row["status"], row["reason"]) for row in failures] == [
        ("evt_5", "quarantined", "other_mode"),
        ("evt_4", "failed", "attempts_exhausted"),
    ]
    timeline = ask(nself, "timeline", "cus_1")
    assert [(row["event_id"], row["superseded"]) for row in timeline] == [
        ("evt_1", True),
        ("evt_3", False),
        ("evt_2", False),
    ]
    assert "webhook events` lists what is" in nself("billing", "webhook", "timeline", "cus_9").stderr


def test_proofs_of_once_only(nself: Nself) -> None:
    nothing: dict[str, list[str]] = {"stored_twice": [], "under_two_accounts": [], "effects_twice": []}
    assert ask(nself, "check-duplicates") == {"events": 5, "absorbed": 1, **nothing}
    [shown] = ask(nself, "show-idempotency", "evt_1")
    assert (shown["status"], shown["deliveries"], len(shown["effects"])) == ("applied", 2, 1)
    assert list(shown["effects"][0]) == ["effect_key", "kind", "status", "attempts", "finished_at", "detail"]
    missing = nself("billing", "webhook", "show-idempotency", "evt_9")
    assert (missing.returncode, missing.stdout, "evt_9" in missing.stderr) == (4, "", True)
    overall = ask(nself, "show-timing")[0]
    assert (overall["type"], overall["events"], overall["waited_p50_ms"] >= 3_600_000) == ("all", 4, True)
    assert ask(nself, "show-timing", "--last", "1m") == []


def test_status_is_one_screen_with_the_endpoint_at_stripe(nself: Nself, engine: Engine) -> None:
    status = ask(nself, "status", code=1)
    assert (status["endpoint_state"], status["endpoints"]) == ("none registered", [])
    assert (status["day"]["received"], status["day"]["redelivered"], status["hour"]["received"]) == (5, 1, 0)
    assert [row["type"] for row in status["failures"]] == ["customer.created", "invoice.paid"]
    away = nself("billing", "webhook", "status", STRIPE_API_BASE="http://127.0.0.1:1")
    assert (away.returncode, "unknown: webhook_endpoints.list: no answer from Stripe" in away.stdout) == (1, True)
    assert len(away.stdout.splitlines()) <= 24
    with engine.begin() as connection:
        connection.execute(text("UPDATE billing_webhook_events SET status = 'applied'"))
    assert ask(nself, "status")["failures"] == []


def test_queue_status_tells_lanes_from_messages(nself: Nself, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE billing_webhook_events SET status = 'pending' WHERE event_id = 'evt_1'"))
    told = ask(nself, "queue-status")
    assert list(told) == ["backlog", "lanes", "unfinished", "parked", "queues", "broker"]
    assert (told["backlog"]["pending"], told["broker"], told["parked"], told["unfinished"]) == (1, "answers", [], [])
    assert [(row["pending"], row["oldest"].split()[1]) for row in told["lanes"]] == [(1, "h")]
    assert {row["messages"] for row in told["queues"]} == {0}
    away = ask(nself, "queue-status", REDIS_URL="redis://127.0.0.1:1/0")
    assert (away["queues"], away["broker"].startswith("unknown: the broker does not answer")) == ([], True)


def test_replay_by_name(nself: Nself, engine: Engine, redis_url: str) -> None:
    before = statuses(engine)
    unknown = nself("billing", "webhook", "replay", "evt_1", "evt_9")
    assert (unknown.returncode, "evt_9" in unknown.stderr, "evt_1" in unknown.stderr) == (4, True, False)
    assert (statuses(engine), actions(engine), waiting(redis_url)) == (before, [], 0)
    assert ask(nself, "replay", "evt_4") == {"replayed": 1, "already_pending": 0, "lanes": 1}
    assert (statuses(engine), waiting(redis_url)) == ({**before, "evt_4": "pending"}, 1)
    assert ask(nself, "replay", "evt_4") == {"replayed": 0, "already_pending": 1, "lanes": 0}
    assert actions(engine) == [("nself billing webhook replay", {"event_ids": ["evt_4"]}, "done")] * 2


def test_replay_of_a_selection(nself: Nself, engine: Engine, redis_url: str) -> None:
    before = statuses(engine)
    failed = ("replay", "--status", "failed", "--since", "24h")
    assert [(row["event_id"], row["status"]) for row in ask(nself, *failed, "--dry-run")] == [("evt_4", "failed")]
    unanswered = nself("billing", "webhook", *failed)
    assert (unanswered.returncode, "add --yes" in unanswered.stderr) == (3, True)
    everything = nself("billing", "webhook", "replay", "--yes")
    assert (everything.returncode, "nothing selects the events" in everything.stderr) == (2, True)
    pending = nself("billing", "webhook", "replay", "--status", "pending", "--yes")
    assert (pending.returncode, "cannot be replayed" in pending.stderr) == (2, True)
    assert ask(nself, "replay", "--status", "failed", "--since", "30m", "--yes")["replayed"] == 0
    assert (statuses(engine), waiting(redis_url)) == (before, 0)
    assert ask(nself, *failed, "--yes") == {"replayed": 1, "already_pending": 0, "lanes": 1}
    assert (statuses(engine), waiting(redis_url)) == ({**before, "evt_4": "pending"}, 1)


def test_since_counts_on_the_billing_clock(nself: Nself, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE billing_clock SET offset_seconds = 86400 * 90"))
    assert ask(nself, "replay", "--status", "failed", "--since", "24h", "--dry-run") == []
    assert len(ask(nself, "replay", "--status", "failed", "--since", "91d", "--dry-run")) == 1
    assert datetime.fromisoformat(ask(nself, "events")[0]["received"]) < datetime.now(UTC)


def test_replay_needs_no_redis_to_be_right(nself: Nself, engine: Engine) -> None:
    told = ask(nself, "replay", "evt_4", REDIS_URL="redis://127.0.0.1:1/0")
    assert (told["replayed"], statuses(engine)["evt_4"]) == (1, "pending")


def test_a_database_of_another_installation_is_never_changed(nself: Nself, engine: Engine) -> None:
    before = statuses(engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO billing_installation VALUES (1, 'acct_1', true, 'real', now())"))
    told = nself("billing", "webhook", "replay", "evt_4")
    assert (told.returncode, "use another DATABASE_URL" in told.stderr) == (3, True)
    assert (statuses(engine), actions(engine)) == (before, [])


def test_the_script_replays_by_the_same_rules(nself: Nself, engine: Engine) -> None:
    def script(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(CHECKOUT / "scripts" / "replay_events.py"), *arguments],
            env=nself.environ,
            cwd=nself.folder,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )

    dry = script("--type", "customer.created", "--until", "2100-01-01", "--dry-run", "--json")
    assert (dry.returncode, [row["event_id"] for row in json.loads(dry.stdout)]) == (0, ["evt_1", "evt_4"])
    assert "pending" not in statuses(engine).values()
    assert script("evt_9").returncode == 4
    done = script("--type", "customer.created", "--status", "failed", "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)["replayed"]) == (0, 1)
    assert [status for status in statuses(engine).values() if status == "pending"] == ["pending"]


def test_an_event_that_stopped_is_discarded_with_a_reason_and_can_come_back(nself: Nself, engine: Engine) -> None:
    assert nself("billing", "webhook", "discard", "evt_4").returncode == 2
    assert nself("billing", "webhook", "discard", "evt_none", "--reason", "x").returncode == 4
    refused = nself("billing", "webhook", "discard", "evt_1", "--reason", "x")
    assert (refused.returncode, "is applied" in refused.stderr) == (3, True)
    done = nself("billing", "webhook", "discard", "evt_4", "--reason", "made by a test", "--json")
    assert json.loads(done.stdout) == [{"event_id": "evt_4", "type": "customer.created", "status": "discarded"}]
    with engine.connect() as connection:
        found = connection.execute(text("SELECT event_id, status FROM billing_webhook_events"))
        states: dict[str, str] = {event_id: status for event_id, status in found}  # noqa: C416 - dict() is untyped
        trail = connection.execute(text("SELECT outcome, reason FROM billing_operator_actions ORDER BY id")).all()
    assert states["evt_4"] == "discarded"
    assert sorted(states.values()) == ["applied", "applied", "applied", "discarded", "quarantined"]
    assert trail[-1] == ("done", "made by a test")
    assert nself("billing", "webhook", "replay", "evt_4").returncode == 0


def test_endpoints_are_listed_with_what_is_wrong(nself: Nself) -> None:
    none = nself("billing", "webhook", "list-endpoints", "--json")
    assert (none.returncode, json.loads(none.stdout)) == (1, [])


def test_secrets_are_shown_by_fingerprint_only(nself: Nself) -> None:
    shown = nself("billing", "webhook", "show-secret", "--json", STRIPE_WEBHOOK_SECRET="whsec_abcdef,plain")
    assert shown.returncode == 1
    assert [(row["secret"], row["length"], row["problems"] != "") for row in json.loads(shown.stdout)] == [
        ("whsec_***", 12, False),
        ("***", 5, True),
    ]
    assert "abcdef" not in shown.stdout + shown.stderr
    good = nself("billing", "webhook", "show-secret", STRIPE_WEBHOOK_SECRET="whsec_abcdef")
    assert good.returncode == 0


def test_a_certificate_is_written_and_listed(nself: Nself) -> None:
    done = nself("billing", "webhook", "certify", "--since", "2h", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["missing"] == 0
    [one] = json.loads(nself("billing", "webhook", "certificates", "--json").stdout)
    assert (one["events"], one["missing"], one["healed"]) == (0, 0, 0)
