"""`nself db` as an operator types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from billing_worker.doctor.schema import newest_revision
from tests.cli.nself import Nself, WarmNself

NOWHERE = "postgresql://billing:hidden@127.0.0.1:1/billing"
DUPLICATE = """
    UPDATE billing_webhook_events
    SET status = 'duplicate'
    WHERE event_id = 'evt_123' AND id != (
    SELECT MIN(id) FROM billing_webhook_events WHERE event_id = 'evt_123'
    )
"""


@pytest.fixture
def nself(tmp_path: Path, database_url: str) -> Nself:
    return WarmNself(tmp_path, {"DATABASE_URL": database_url})


def actions(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        statement = text("SELECT command, arguments, reason, outcome FROM billing_operator_actions ORDER BY id")
        return [tuple(row) for row in connection.execute(statement)]


def test_ping_and_status_tell_figures(nself: Nself) -> None:
    ping = nself("db", "ping", "--json")
    told = json.loads(ping.stdout)
    assert (ping.returncode, list(told), told["answers"]) == (0, ["answers", "connect_ms", "statement_ms"], True)
    status = nself("db", "status", "--json")
    facts = json.loads(status.stdout)
    assert status.returncode == 0
    assert list(facts) == [
        "version",
        "database",
        "user",
        "started_at",
        "size_bytes",
        "connections",
        "max_connections",
        "longest_transaction",
        "waiting_for_locks",
        "schema",
        "schema_wanted",
        "tables",
    ]
    assert (facts["schema"], facts["schema_wanted"]) == (newest_revision(), newest_revision())
    assert {"billing_usage", "billing_usage_keys"} & {table["table"] for table in facts["tables"]}
    assert all(list(table) == ["table", "size_bytes", "rows"] for table in facts["tables"])


def test_a_schema_of_another_release_is_a_difference(nself: Nself, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    status = nself("db", "status")
    assert (status.returncode, "python -m migrations upgrade" in status.stderr) == (1, True)
    proof = nself("db", "test-connection", "--json")
    steps = json.loads(proof.stdout)
    assert (proof.returncode, [(step["step"], step["ok"]) for step in steps]) == (
        5,
        [("url", True), ("address", True), ("connection", True), ("schema", False)],
    )
    assert steps[-1]["mend"] == "python -m migrations upgrade"


def test_a_connection_is_proved_to_the_last_step_and_leaves_nothing(nself: Nself, engine: Engine) -> None:
    proof = nself("db", "test-connection", "--json")
    steps = json.loads(proof.stdout)
    assert proof.returncode == 0
    assert [(step["step"], step["ok"]) for step in steps] == [
        (name, True) for name in ("url", "address", "connection", "schema", "write")
    ]
    assert actions(engine) == []


@pytest.mark.parametrize(
    ("url", "steps", "detail"),
    [
        ("", ["url"], "DATABASE_URL is not set"),
        ("nonsense", ["url"], "DATABASE_URL cannot be read"),
        (NOWHERE, ["url", "address"], "127.0.0.1 port 1: Connection refused"),
    ],
)
def test_the_first_step_that_fails_is_the_last(nself: Nself, url: str, steps: list[str], detail: str) -> None:
    proof = nself("db", "test-connection", "--json", DATABASE_URL=url)
    told = json.loads(proof.stdout)
    assert (proof.returncode, [step["step"] for step in told], told[-1]["ok"]) == (5, steps, False)
    assert told[-1]["detail"] == detail
    assert "hidden" not in proof.stdout + proof.stderr


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("", 5, "DATABASE_URL is not set: `nself start`"),
        ("nonsense", 2, "write for example postgresql://"),
        (NOWHERE, 5, "PostgreSQL does not answer"),
    ],
)
def test_without_a_database_a_command_says_what_to_do(nself: Nself, url: str, code: int, said: str) -> None:
    told = nself("db", "query", "SELECT 1", DATABASE_URL=url)
    assert (told.returncode, told.stdout, said in told.stderr) == (code, "", True), told.stderr
    assert "Traceback" not in told.stderr
    assert "hidden" not in told.stderr


def test_the_guides_questions_are_answered(nself: Nself) -> None:
    counted = nself("db", "query", "SELECT COUNT(*) FROM billing_usage WHERE created_at > NOW() - INTERVAL '1 hour'")
    assert (counted.returncode, counted.stdout.split()[0], counted.stdout.split()[-1]) == (0, "count", "0")
    users = nself("db", "query", "SELECT id, email FROM auth.users WHERE id = 'user123'", "--json")
    assert json.loads(users.stdout) == [
        {"verb": "SELECT", "columns": ["id", "email"], "rows": [], "affected": None, "is_cut": False}
    ]
    sizes = nself(
        "db",
        "query",
        " SELECT schemaname, tablename, pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename)) AS size "
        "FROM pg_tables WHERE schemaname = 'billing' "
        "ORDER BY pg_total_relation_size(schemaname||'.'||tablename) DESC; ",
        "--limit",
        "2",
    )
    assert (sizes.returncode, len(sizes.stdout.splitlines())) == (0, 4)
    assert "only the first 2 rows are shown" in sizes.stderr


def test_changes_are_refused_with_the_safe_way_and_nothing_happens(nself: Nself, engine: Engine) -> None:
    for sql, said in (
        (DUPLICATE, "`nself billing webhook check-duplicates` proves it; or the same with --write --reason TEXT"),
        ("TRUNCATE TABLE billing_transactions CASCADE", "use another database"),
        ("CREATE INDEX i ON billing_usage(user_id, created_at)", "--write --reason TEXT"),
        ("WITH x AS (DELETE FROM billing_leases RETURNING 1) TABLE x", "--write --reason TEXT"),
    ):
        told = nself("db", "query", sql)
        assert (told.returncode, told.stdout, said in told.stderr) == (3, "", True), told.stderr
    assert actions(engine) == []


def test_what_is_meant_is_done_and_recorded(nself: Nself, engine: Engine) -> None:
    unexplained = nself("db", "query", DUPLICATE, "--write")
    assert (unexplained.returncode, "--write needs --reason" in unexplained.stderr) == (2, True)
    done = nself("db", "query", DUPLICATE, "--write", "--reason", "ticket 4711", "--json")
    assert (done.returncode, json.loads(done.stdout)[0]["affected"]) == (0, 0)
    money = nself("db", "query", "TRUNCATE billing_transactions", "--write", "--reason", "fresh start")
    assert (money.returncode, "would change billing_transactions" in money.stderr) == (3, True)
    wrong = nself("db", "query", "UPDATE nowhere SET x = 1", "--write", "--reason", "typo")
    assert (wrong.returncode, wrong.stderr) == (2, 'relation "nowhere" does not exist\n')
    assert [(command, reason, outcome) for command, _, reason, outcome in actions(engine)] == [
        ("nself db query", "ticket 4711", "done"),
        ("nself db query", "fresh start", "refused"),
        ("nself db query", "typo", "failed"),
    ]
    assert actions(engine)[1][1] == {"sql": "TRUNCATE billing_transactions", "limit": 1000, "write": True}


def test_a_statement_that_takes_too_long_is_ended(nself: Nself) -> None:
    told = nself("db", "query", "SELECT pg_sleep(60) FROM generate_series(1, 2)", DB_QUERY_TIMEOUT="100ms")
    assert (told.returncode, "DB_QUERY_TIMEOUT=5m" in told.stderr) == (5, True)
