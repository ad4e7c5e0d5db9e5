"""`nself start|stop|restart|status|logs` as an operator runs them; the whole stack once."""

from __future__ import annotations

import json
import socket
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billing_worker.runtime.sources import read_sources
from billing_worker.stack.programs import PROGRAMS
from tests.cli.nself import Nself, WarmNself


@pytest.fixture
def nself() -> Iterator[Nself]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)  # PostgreSQL may run as another user
        operator = Nself(Path(name))
        try:
            yield operator
        finally:
            stopped = WarmNself(operator.folder)("stop")
        assert stopped.returncode == 0, stopped.stderr


@pytest.fixture
def warm(tmp_path: Path) -> WarmNself:
    """For commands that start nothing."""
    return WarmNself(tmp_path)


def rows(nself: Nself, *services: str) -> list[dict[str, Any]]:
    looking = WarmNself(nself.folder, nself.variables)
    return list(json.loads(looking("status", *services, "--json").stdout))


def states(nself: Nself, *services: str) -> dict[str, str]:
    return {row["process"]: row["state"] for row in rows(nself, *services)}


def test_the_whole_stack_starts_takes_new_settings_drains_and_stops(nself: Nself) -> None:
    started = nself("start")
    assert started.returncode == 0, started.stderr
    assert states(nself) == {program.name: "running" for program in PROGRAMS}
    assert nself("status").returncode == 0
    settings = read_sources(nself.environ).merged
    with urllib.request.urlopen(f"http://127.0.0.1:{settings['BILLING_RECEIVER_PORT']}/healthz") as answer:
        assert answer.status == 200

    again = nself("start")
    assert (again.returncode, again.stderr.startswith("already running: postgres")) == (0, True)

    assert nself("env", "set", "BILLING_WEBHOOK_QUEUES=2").returncode == 0
    before = rows(nself, "worker-webhooks-1")[0]["pid"]
    restarted = nself("restart", "worker-webhooks-1")
    assert restarted.returncode == 0, restarted.stderr
    after = rows(nself, "worker-webhooks-1")[0]["pid"]
    assert after != before
    assert Path(f"/proc/{after}/cmdline").read_bytes().endswith(b"\0webhooks.0,webhooks.1\0")

    logged = nself("logs", "billing", "--grep", "RECEIVER_STARTING", "--tail", "1")
    assert logged.returncode == 0
    assert json.loads(logged.stdout)["event"] == "receiver_starting"

    stopped = nself("stop", "billing")
    assert stopped.returncode == 0
    assert "--with-intake" in stopped.stderr
    kept = {name for name, state in states(nself).items() if state == "running"}
    assert kept == {"postgres", "redis", "stripe-mock", "receiver", "flower"}
    assert nself("status").returncode == 1

    assert nself("stop", "billing", "--with-intake").returncode == 0
    assert states(nself, "receiver") == {"receiver": "stopped"}


def test_a_mix_of_own_and_foreign_parts_is_refused_before_anything_is_made(warm: WarmNself) -> None:
    for verb in ("start", "restart", "status"):
        result = warm(verb, DATABASE_URL="postgresql://billing@db.example/billing")

        assert result.returncode == 3
        assert "REDIS_URL" in result.stderr
        assert "STRIPE_SECRET_KEY" in result.stderr
    assert not warm.home.exists()


def test_a_live_key_never_meets_the_sandbox(warm: WarmNself) -> None:
    variables = {"STRIPE_SECRET_KEY": "sk_live_abc", "STRIPE_MODE": "live", "STRIPE_MOCK_ENABLED": "true"}

    result = warm("start", **variables)

    assert result.returncode == 3
    assert "live key" in result.stderr
    assert "sk_live_abc" not in result.stderr


def test_an_unknown_service_is_usage_and_names_the_known(warm: WarmNself) -> None:
    for verb in ("start", "stop", "restart", "status", "logs"):
        result = warm(verb, "kafka")

        assert result.returncode == 2
        assert "usage-collector" in result.stderr


def test_a_service_that_runs_elsewhere_is_not_started_here(warm: WarmNself) -> None:
    variables = {
        "DATABASE_URL": "postgresql://billing@db.example/billing",
        "REDIS_URL": "redis://redis.example/0",
        "STRIPE_SECRET_KEY": "sk_test_abcdefghij",
    }

    result = warm("start", "redis", **variables)

    assert result.returncode == 3
    assert "REDIS_URL" in result.stderr
    shown = json.loads(warm("status", "--json", **variables).stdout)
    assert {row["process"] for row in shown if row["state"] == "external"} == {"postgres", "redis", "stripe-mock"}


def test_stopping_what_does_not_run_is_done_already(warm: WarmNself) -> None:
    result = warm("stop", "billing")

    assert result.returncode == 0
    assert result.stderr.splitlines()[-1] == "nothing is running"


def test_logs_are_shown_as_written_in_a_pipe(warm: WarmNself) -> None:
    (warm.home / "logs").mkdir(parents=True)
    line = '{"timestamp": "2026-01-30T10:00:00Z", "level": "warning", "event": "mail_suppressed", "message_id": 7}'
    (warm.home / "logs" / "mail.log").write_text(line + "\n")

    assert warm("logs", "mail").stdout == line + "\n"
    assert warm("logs", "mail", "--level", "error").stdout == ""
    assert warm("logs", "mail", "--since", "2026-01-31").stdout == ""
    assert warm("logs", "billing", "--tail", "1000", "--grep", "MAIL_SUPP").stdout == line + "\n"
    wrong = warm("logs", "mail", "--since", "yesterday")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "2026-01-30" in wrong.stderr


def test_a_program_that_cannot_run_is_told_with_where_to_look_and_not_waited_for(nself: Nself) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()

        result = nself("start", "receiver", BILLING_RECEIVER_PORT=str(stranger.getsockname()[1]))

    assert (result.returncode, result.stdout) == (5, "")
    assert result.stderr.splitlines()[-1] == (
        "receiver did not become ready: it ended 3 times; `nself logs receiver --tail 50` says why"
    )
    assert states(nself, "postgres", "redis") == {"postgres": "running", "redis": "running"}


def test_settings_that_cannot_work_are_told_before_anything_starts(warm: WarmNself) -> None:
    result = warm("start", STRIPE_MAX_RETRIES="many")

    assert result.returncode == 2
    assert "STRIPE_MAX_RETRIES" in result.stderr
    assert not warm.home.exists()
