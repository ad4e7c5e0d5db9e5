"""Celery processes of the tests, and waiting for what they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import redis as redis_client

from billing_worker.stack.binaries import find_redis
from billing_worker.stack.bound import PARENT_VARIABLE
from billing_worker.stack.ports import choose_port
from billing_worker.stack.redis import redis_command, redis_url, wait_for_redis, write_redis_configuration

ROOT = Path(__file__).parents[3]
RIG = "tests.integration.worker.rig"
PATIENCE_SECONDS = 60
"""A bound for what hangs, far above what anything takes on a busy machine."""

GATE = 7_000_001
"""The advisory lock a test holds to keep a task of the rig inside."""

T = TypeVar("T")


def wait_for(question: Callable[[], T], *, what: str, log: Path | None = None) -> T:
    """Ask until the answer is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := question()):
        if time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-4000:] if log else ""
            raise AssertionError(f"waited in vain for {what}; last answer {answer!r}\n{tail}")
        time.sleep(0.05)
    return answer


class CeleryProcess:
    """One worker, Beat or Flower with its children and its log."""

    def __init__(self, arguments: list[str], *, app: str, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", app, *arguments],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "REMAP_SIGTERM": "SIGQUIT", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self) -> None:
        """Kill everything at once, as a power cut would."""
        victims = [*self.children(), self.process.pid]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for victim in victims:
                os.kill(victim, number)
        self.process.wait()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def said(self, words: str) -> bool:
        return words in self.log.read_text(errors="replace")

    def stop(self) -> int:
        if not self.ended():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Launcher:
    """Starts Celery processes against a test's database and broker, and stops what is left."""

    def __init__(self, environment: Mapping[str, str], folder: Path, app: str = RIG) -> None:
        self._environment = dict(environment)
        self._folder = folder
        self._app = app
        self._started: list[CeleryProcess] = []

    def worker(self, queues: str, *, concurrency: int = 1) -> CeleryProcess:
        options = ["--pool", "prefork", "--concurrency", str(concurrency), "--prefetch-multiplier", "1"]
        name = f"w{len(self._started)}@test"
        process = self._start(
            ["worker", *options, "--without-mingle", "--without-gossip", "-E", "--hostname", name, "-Q", queues]
        )
        wait_for(lambda: process.said(f"{name} ready") or process.ended(), what="the worker", log=process.log)
        assert not process.ended(), process.log.read_text(errors="replace")
        return process

    def beat(self) -> CeleryProcess:
        return self._start(["beat", "--pidfile", ""])

    def flower(self, port: int, **environment: str) -> CeleryProcess:
        return self._start(["flower", "--address=127.0.0.1", f"--port={port}"], **environment)

    def stop(self) -> None:
        """Kill what a test left running: nobody waits for a soft shutdown whose end nobody looks at."""
        for process in reversed(self._started):
            if not process.ended():
                process.kill()

    def _start(self, arguments: list[str], **environment: str) -> CeleryProcess:
        log = self._folder / f"{arguments[0]}-{len(self._started)}.log"
        merged = {**self._environment, **environment}
        self._started.append(CeleryProcess(arguments, app=self._app, environment=merged, log=log))
        return self._started[-1]


class OwnRedis:
    """A Redis that a test may stop and start again, on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = choose_port()
        self.url = redis_url(port=self._port, password="password")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        data = self._folder / "redis"
        configuration = write_redis_configuration(self._folder, data=data, port=self._port, password="password")
        with (self._folder / "redis.log").open("ab") as output:
            self._process = subprocess.Popen(
                redis_command(find_redis(os.environ), configuration, data=data),
                env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
                stdout=output,
                stderr=output,
            )
        wait_for_redis(self.url)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def drop_connections(self) -> int:
        """Close every client connection but our own; say how many."""
        client = redis_client.Redis.from_url(self.url)
        try:
            return int(client.client_kill_filter(_type="normal", skipme=True))
        finally:
            client.close()


@contextmanager
def own_redis(folder: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
