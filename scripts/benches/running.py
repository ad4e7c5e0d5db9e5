"""The whole system for a benchmark: servers, receiver, workers of one or several hosts, tick and beats."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.stack.ephemeral import EphemeralServers, ephemeral_servers
from billing_worker.stack.ports import choose_port
from billing_worker.stack.readiness import wait_until_ready
from scripts.benches.inbox_load import read_settings, worker_of
from scripts.benches.processor_time import processor_seconds

SECRET = "whsec_benchmark"  # noqa: S105 - signs the benchmark's own events
WEBHOOK_QUEUES = "webhooks.0,webhooks.1,webhooks.2,webhooks.3"
OTHER_QUEUES = "quotas,payments,reconciliation,effects,maintenance,fetch,mail,usage"
PATIENCE_SECONDS = 120
OTHERS = "others"
PREFIXES = {"receiver": "receiver", "webhook workers": "worker-webhooks", "peer": "peer"}
PARTS = (*PREFIXES, "PostgreSQL", "Redis", OTHERS)
"""Of what runs: `others` are the other workers, the tick's and both beats."""


@dataclass(frozen=True)
class Delivered:
    """What a delivery of events was answered with, and when it began: the time, and the processor time by part."""

    latencies: list[float]
    started: float
    processor: dict[str, float]


@dataclass
class System:
    """What runs, and how to ask it."""

    folder: Path
    environment: dict[str, str]
    unit_of_work: UnitOfWork
    port: int
    servers: EphemeralServers
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str, says: str, **variables: str) -> None:
        """Start one process of ours and wait for a word in its log."""
        self.start_program(name, sys.executable, "-m", *arguments, says=says, **variables)

    def start_program(self, name: str, *command: str, says: str, **variables: str) -> None:
        """Start any program and wait for a word in its log."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env={**self.environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.processes[name] = process
        deadline = time.monotonic() + PATIENCE_SECONDS
        while says not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} did not start: {log.read_text(errors='replace')[-1500:]}")
            time.sleep(0.05)

    def start_worker(self, name: str, queues: str, *, host: str = "host-1") -> None:
        """Start a worker of one host, as the supervisor does."""
        options = ("--pool", "prefork", "--concurrency", "1", "--prefetch-multiplier", "1", "--without-mingle")
        celery = ("celery", "-A", "billing_worker.app.celery_app", "worker", *options, "--without-gossip", "-E")
        home = self.folder / host
        home.mkdir(exist_ok=True)
        self.start(
            f"{name}-{host}", *celery, "--hostname", f"{name}@{host}", "-Q", queues, says="ready", NSELF_HOME=str(home)
        )

    def start_beats(self) -> None:
        for name in ("beat-a", "beat-b"):
            schedule = str(self.folder / name)
            beat = ("celery", "-A", "billing_worker.app.celery_app", "beat", "--pidfile", "", "--schedule", schedule)
            self.start(name, *beat, says="beat")

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop_all(self) -> None:
        self.stop_all_but("")

    def stop_all_but(self, kept: str) -> None:
        for name in list(self.processes):
            if name != kept:
                self.stop(name)

    def complaint(self) -> str | None:
        """Say why the receiver is not ready."""
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5).close()
        except OSError as error:
            return str(error)
        return None

    def deliver(
        self, count: int, *, first: int, rate: float = 0, connections: int = 32, port: int | None = None
    ) -> Delivered:
        """Deliver events to the receiver, or to whoever listens at `port`."""
        load = [
            sys.executable,
            "-m",
            "scripts.benches.events_load",
            "--port",
            str(port or self.port),
            "--secret",
            SECRET,
        ]
        load += ["--path", "/webhooks/stripe", "--first", str(first), "--count", str(count), "--rate", str(rate)]
        with subprocess.Popen(
            [*load, "--connections", str(connections)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            process.stdout.readline()
            before, started = self.processor_seconds(), time.perf_counter()
            output, _ = process.communicate("go\n")
        if process.returncode != 0:
            raise SystemExit("the load generator failed")
        return Delivered(sorted(json.loads(output)["latencies"]), started, before)

    def processor_seconds(self) -> dict[str, float]:
        """Return the processor time that each part has used so far."""
        parts: dict[str, list[int]] = {part: [] for part in PARTS} | {
            "PostgreSQL": [self.servers.postgres_pid],
            "Redis": [self.servers.redis_pid],
        }
        for name, process in self.processes.items():
            part = next((part for part, prefix in PREFIXES.items() if name.startswith(prefix)), OTHERS)
            parts[part].append(process.pid)
        return processor_seconds(parts)

    def ask(self, statement: str, **parameters: object) -> tuple[object, ...]:
        """Ask the database for one row."""
        with self.unit_of_work.engine.connect() as connection:
            return tuple(connection.execute(text(statement), parameters).one())

    def wait_until_applied(self) -> None:
        """Wait until nothing is pending; a watcher's look every 20 ms costs the system little."""
        deadline = time.monotonic() + 10 * PATIENCE_SECONDS
        while self.ask("SELECT EXISTS (SELECT 1 FROM billing_webhook_queue)") == (True,):
            if time.monotonic() > deadline:
                raise SystemExit("the system does not come to rest")
            time.sleep(0.02)


@contextmanager
def running_system() -> Iterator[System]:
    """Start servers and receiver; the benchmark starts the workers it wants."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # what was started is stopped then, too
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nself-bench-")))
        servers = stack.enter_context(ephemeral_servers(folder / "servers", durable=True))
        port = choose_port()
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "STRIPE_SECRET_KEY": "sk_test_benchmark",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": f"http://127.0.0.1:{choose_port()}",
            "BILLING_RECEIVER_PORT": str(port),
            "NSELF_HOME": str(folder),
            "NSELF_ENV_FILE": str(folder / ".env"),
        }
        unit_of_work = worker_of(read_settings(environment), timedelta(minutes=5))
        with unit_of_work.transaction() as session:
            session.execute(
                text("INSERT INTO billing_installation VALUES (1, 'acct_bench', false, 'sandbox', clock_timestamp())")
            )
        system = System(folder, environment, unit_of_work, port, servers)
        stack.callback(unit_of_work.engine.dispose)
        stack.callback(system.stop_all)
        system.start("receiver", "webhook_receiver", says="receiver_starting")
        alive = system.processes["receiver"]
        wait_until_ready("receiver", system.complaint, timeout_seconds=60, is_alive=lambda: alive.poll() is None)
        yield system
