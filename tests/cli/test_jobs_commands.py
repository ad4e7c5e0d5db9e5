"""`nself billing jobs` as an operator types it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.cli.nself import Nself, WarmNself

RUNS = text(
    "INSERT INTO billing_schedule_runs (job, due_at, status, attempts, lease_until, worker, created_at, detail) VALUES"
    " ('quota_reset', '2026-03-01 00:05Z', 'failed', 5, NULL, 'w1', now(), 'RetryableError: Stripe is away'),"
    " ('quota_reset', '2026-03-02 00:05Z', 'done', 1, NULL, 'w1', now(), ''),"
    " ('quota_reset', '2026-03-03 00:05Z', 'running', 1, clock_timestamp() + interval '1 hour', 'w1', now(), ''),"
    " ('usage_aggregation', '2026-03-03 00:00Z', 'running', 1, clock_timestamp() - interval '1 hour', 'w2', now(), ''),"
    " ('usage_aggregation', '2026-03-02 00:00Z', 'failed', 5, NULL, 'w2', now(), 'bug')"
)


@pytest.fixture
def nself(tmp_path: Path, database_url: str, engine: Engine) -> Nself:
    with engine.begin() as connection:
        connection.execute(RUNS)
    return WarmNself(tmp_path, {"DATABASE_URL": database_url})


def listed(nself: Nself, *arguments: str) -> list[dict[str, Any]]:
    done = nself("billing", "jobs", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def statuses(engine: Engine) -> list[tuple[str, datetime, str]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT job, due_at, status FROM billing_schedule_runs ORDER BY job, due_at"))
        return [(row.job, row.due_at.astimezone(UTC), row.status) for row in rows]


def test_runs_are_listed_by_state_and_job(nself: Nself) -> None:
    assert [row["status"] for row in listed(nself, "list")] == ["running", "running", "done", "failed", "failed"]
    (failed,) = listed(nself, "list", "--status", "failed", "--type", "quota_reset")
    assert (failed["due_at"], failed["attempts"], failed["detail"]) == (
        "2026-03-01T00:05:00+00:00",
        5,
        "RetryableError: Stripe is away",
    )
    table = nself("billing", "jobs", "list", "--status", "failed")
    assert table.stdout.splitlines()[0].split()[:3] == ["job", "due", "at"]
    wrong = nself("billing", "jobs", "list", "--status", "broken")
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_failed_runs_of_one_job_are_cleared_and_the_trail_says_who(nself: Nself, engine: Engine) -> None:
    before = statuses(engine)
    clear = ("clear", "--type", "quota_reset", "--status", "failed")
    wanted = {"job": "quota_reset", "due_at": "2026-03-01T00:05:00+00:00"}
    assert listed(nself, *clear, "--dry-run") == [{**wanted, "cleared": False}]
    assert statuses(engine) == before
    assert listed(nself, *clear) == [{**wanted, "cleared": True}]
    assert listed(nself, *clear) == []
    assert statuses(engine) == [(before[0][0], before[0][1], "skipped"), *before[1:]]
    with engine.connect() as connection:
        trail = connection.execute(text("SELECT command, outcome FROM billing_operator_actions ORDER BY id")).all()
    assert [tuple(row) for row in trail] == [("nself billing jobs clear", "done")] * 2


def test_a_run_at_work_is_never_cleared_and_a_stuck_one_asks(nself: Nself, engine: Engine) -> None:
    before = statuses(engine)
    unanswered = nself("billing", "jobs", "clear", "--status", "running")
    assert (unanswered.returncode, "add --yes" in unanswered.stderr) == (3, True)
    over = nself("billing", "jobs", "clear", "--status", "done", "--yes")
    assert (over.returncode, "clear --status failed, due or running" in over.stderr) == (3, True)
    assert statuses(engine) == before
    cleared = listed(nself, "clear", "--status", "running", "--yes")
    assert cleared == [{"job": "usage_aggregation", "due_at": "2026-03-03T00:00:00+00:00", "cleared": True}]
    assert [row[2] for row in statuses(engine)] == ["failed", "done", "running", "failed", "skipped"]
