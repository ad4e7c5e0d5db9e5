"""The main job, whole: everything started by one command, processes killed in the middle, nothing lost or doubled."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DAYS = 12
"""Long enough for a declined card to be retried, replaced and recovered."""


class Rehearsal:
    """`nself rehearse --once --json` as an operator starts it, with something done when a line of progress comes."""

    def __init__(self, home: Path, *arguments: str) -> None:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "REDIS_", "STRIPE_"))
        }
        self._home = home
        self._environment = {**environment, "NSELF_HOME": str(home), "NSELF_ENV_FILE": str(home.parent / ".env")}
        self.told: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "billing_worker.cli.main", "rehearse", "--once", "--json", *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, on_line: Callable[[str], None]) -> tuple[int, dict[str, Any]]:
        """Follow the run to its end and return exit code and summary."""
        answers: list[str] = []
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        reader = threading.Thread(target=lambda: answers.append(self._process.stdout.read()))  # type: ignore[union-attr]
        reader.start()
        for line in self._process.stderr:
            self.told.append(line.rstrip())
            on_line(line)
        reader.join()
        code = self._process.wait()
        assert answers[0], "\n".join(self.told[-30:])
        return code, json.loads(answers[0])

    def nself(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "billing_worker.cli.main", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def pid_of(self, process: str) -> int:
        services = json.loads(self.nself("status", "--json"))
        return next(int(service["pid"]) for service in services if service["process"] == process)

    def kill(self, process: str) -> None:
        os.kill(self.pid_of(process), signal.SIGKILL)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(120)
        self.nself("stop", "--with-intake")
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


@contextmanager
def rehearsal(home: Path, *arguments: str) -> Iterator[Rehearsal]:
    started = Rehearsal(home, *arguments)
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.scenario
@pytest.mark.timeout(400)
def test_a_month_with_killed_workers_beat_and_redis_loses_and_doubles_nothing(tmp_path: Path) -> None:
    home = tmp_path / ".nself"
    done: list[str] = []

    def at(line: str, day: int, name: str, act: Callable[[], None]) -> None:
        if name not in done and line.strip().startswith(f"{day * 100 // DAYS}%"):
            done.append(name)
            act()

    with rehearsal(home, "--days", str(DAYS)) as run:

        def lose_redis() -> None:
            pid = run.pid_of("redis")
            shutil.rmtree(home / "redis")
            os.kill(pid, signal.SIGKILL)

        def trouble(line: str) -> None:
            at(line, 3, "worker", lambda: run.kill("worker-webhooks-1"))
            at(line, 6, "beat", lambda: run.kill("beat-a"))
            at(line, 9, "redis", lose_redis)

        code, summary = run.run(trouble)

    assert done == ["worker", "beat", "redis"]
    assert summary["problems"] == []
    assert code == 0
    assert summary["failed"] == summary["waiting"] == summary["quarantined"] == 0
    assert summary["differences"] == 0
    assert summary["payments_recovered"] >= 1
    assert summary["quota_resets_done"] >= DAYS * 5
    assert summary["rollups_that_differ_from_records"] == 0
