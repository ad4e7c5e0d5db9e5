"""PostgreSQL and Redis for the length of a `with` block: what tests and benchmarks run on."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from billing_worker.stack.binaries import find_postgres, find_redis, reachable_postgres
from billing_worker.stack.bound import PARENT_VARIABLE
from billing_worker.stack.errors import ServerStartError
from billing_worker.stack.identity import can_enter, server_identity
from billing_worker.stack.ports import choose_port
from billing_worker.stack.postgres import (
    ADMIN_ROLE,
    APPLICATION_ROLE,
    PostgresCluster,
    create_cluster,
    ensure_billing_database,
    postgres_url,
    wait_for_postgres,
)
from billing_worker.stack.private_files import make_private_folder
from billing_worker.stack.redis import redis_command, redis_url, wait_for_redis, write_redis_configuration

PORT_ATTEMPTS = 3
"""Another process may take a free port between our choice and the server's bind."""
STOP_TIMEOUT_SECONDS = 30
THROWAWAY_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "io_method": "sync",
    "autovacuum": "off",  # no ordinary role can drop a database that a vacuum is at work in
}


@dataclass(frozen=True, slots=True)
class EphemeralServers:
    """Addresses of what was started; empty for what was not asked for."""

    database_url: str
    admin_database_url: str
    redis_url: str
    postgres_pid: int
    redis_pid: int


@contextmanager
def ephemeral_servers(
    directory: Path,
    *,
    postgres: bool = True,
    redis: bool = True,
    durable: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Iterator[EphemeralServers]:
    """Start the servers asked for, with a database `billing` and its role, and stop them at the end.

    Shape: the role may create databases; `durable=True` keeps fsync on, for tests of crashes.
    Order: starts in the calling thread, whose end would end the servers too.
    """
    environ = os.environ if environ is None else environ  # an entry point for tests, which have no settings
    make_private_folder(directory)
    with ExitStack() as stack:
        database_url, admin_url, postgres_pid = "", "", 0
        if postgres:
            database_url, admin_url, postgres_pid = stack.enter_context(_postgres(directory, environ, durable=durable))
        cache_url, redis_pid = "", 0
        if redis:
            cache_url, redis_pid = stack.enter_context(_redis(directory, environ, durable=durable))
        yield EphemeralServers(database_url, admin_url, cache_url, postgres_pid, redis_pid)


@contextmanager
def _postgres(directory: Path, environ: Mapping[str, str], *, durable: bool) -> Iterator[tuple[str, str, int]]:
    identity = server_identity()
    folder, borrowed = directory, None
    if not can_enter(directory, identity):  # pytest's own folders are closed to others
        folder = borrowed = Path(tempfile.mkdtemp(prefix="nself-postgres-"))
    if identity is not None and borrowed is not None:
        identity.take_over(borrowed)
    try:
        binaries = reachable_postgres(find_postgres(environ), identity)
        cluster = PostgresCluster(binaries=binaries, data=folder / "postgres", identity=identity)
        passwords = {role: secrets.token_urlsafe(24) for role in (ADMIN_ROLE, APPLICATION_ROLE)}
        create_cluster(cluster, admin_password=passwords[ADMIN_ROLE])
        options = {} if durable else THROWAWAY_OPTIONS

        def url(port: int, role: str, database: str) -> str:
            return postgres_url(role=role, password=passwords[role], port=port, database=database)

        with _started(
            "PostgreSQL",
            command=lambda port: cluster.command(port, **options),
            wait=lambda port, alive: wait_for_postgres(url(port, ADMIN_ROLE, "postgres"), is_alive=alive),
            log=directory / "postgres.log",
            stop_signal=signal.SIGINT,
        ) as (port, pid):
            ensure_billing_database(url(port, ADMIN_ROLE, "postgres"), password=passwords[APPLICATION_ROLE])
            yield url(port, APPLICATION_ROLE, "billing"), url(port, ADMIN_ROLE, "billing"), pid
    finally:
        if borrowed is not None:
            shutil.rmtree(borrowed)


@contextmanager
def _redis(directory: Path, environ: Mapping[str, str], *, durable: bool) -> Iterator[tuple[str, int]]:
    binary = find_redis(environ)
    password = secrets.token_urlsafe(24)

    def command(port: int) -> list[str]:
        data = directory / "redis"
        configuration = write_redis_configuration(directory, data=data, port=port, password=password, durable=durable)
        return redis_command(binary, configuration, data=data)

    with _started(
        "Redis",
        command=command,
        wait=lambda port, alive: wait_for_redis(redis_url(port=port, password=password), is_alive=alive),
        log=directory / "redis.log",
        stop_signal=signal.SIGTERM,
    ) as (port, pid):
        yield redis_url(port=port, password=password), pid


@contextmanager
def _started(
    server: str,
    *,
    command: Callable[[int], list[str]],
    wait: Callable[[int, Callable[[], bool]], None],
    log: Path,
    stop_signal: signal.Signals,
) -> Iterator[tuple[int, int]]:
    for attempt in range(1, PORT_ATTEMPTS + 1):
        port = choose_port()
        with log.open("ab") as output:
            process = subprocess.Popen(
                command(port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
                start_new_session=True,  # an interrupt at the terminal is for the tests, they stop us
            )
        try:
            wait(port, lambda running=process: running.poll() is None)  # type: ignore[misc] # mypy: lambda defaults
        except ServerStartError as error:
            _stop(process, stop_signal)
            if attempt == PORT_ATTEMPTS:
                tail = log.read_text(errors="replace")[-1000:]
                raise ServerStartError(server=server, reason=f"{error}; its log ends with: {tail}") from error
            continue
        try:
            yield port, process.pid
        finally:
            _stop(process, stop_signal)
        return


def _stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(stop_signal)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
