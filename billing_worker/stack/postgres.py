"""A PostgreSQL cluster of our own: created once, started by command line, on loopback with passwords."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql

from billing_worker.stack.binaries import major_version
from billing_worker.stack.errors import ForeignDataError, ServerStartError, UnreachableFolderError
from billing_worker.stack.identity import Identity, can_enter
from billing_worker.stack.ports import LOOPBACK
from billing_worker.stack.private_files import make_private_folder, write_private
from billing_worker.stack.readiness import wait_until_ready

ADMIN_ROLE = "nself_admin"
APPLICATION_ROLE = "billing"
DATABASE = "billing"
START_TIMEOUT_SECONDS = 60
"""Crash recovery of a large write-ahead log, plus up to 9 s while an orphaned backend of a killed server ends."""

BOUND = Path(__file__).with_name("bound.py")

SERVER_OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # short statements: compiling costs more than it saves
    "max_connections": "200",
    "shared_preload_libraries": "pg_stat_statements",
    "log_line_prefix": "%m [%p] ",
    "log_min_duration_statement": "5000",
}


@dataclass(frozen=True, slots=True)
class PostgresCluster:
    """Where a cluster lies and who runs it."""

    binaries: Path
    data: Path
    identity: Identity | None

    def command(self, port: int, **options: str) -> list[str]:
        """Return the server's command line, bound to the life of whoever executes it."""
        settings = {**SERVER_OPTIONS, "port": str(port), **options}
        server = [str(self.binaries / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            server += ["-c", f"{name}={value}"]
        user = ["--uid", str(self.identity.uid), "--gid", str(self.identity.gid)] if self.identity else []
        return [sys.executable, "-I", "-S", str(BOUND), "--death-signal", "INT", *user, "--", *server]


def create_cluster(cluster: PostgresCluster, *, admin_password: str) -> bool:
    """Create the data folder unless it exists, and say whether it was created.

    Idempotent by: initdb works in a temporary folder that is renamed at the end; a killed one is swept away.
    Raises: ForeignDataError when the folder was written by another major release.
    """
    if (version_file := cluster.data / "PG_VERSION").exists():
        found, wanted = version_file.read_text(encoding="ascii").strip(), major_version(cluster.binaries)
        if found != wanted:
            raise ForeignDataError(folder=str(cluster.data), found=found, wanted=wanted)
        return False
    parent = cluster.data.parent
    if cluster.identity is not None and not can_enter(parent, cluster.identity):
        raise UnreachableFolderError(folder=str(parent), uid=cluster.identity.uid)
    for leftover in parent.glob(f".{cluster.data.name}.initdb-*"):
        shutil.rmtree(leftover)
    workspace = make_private_folder(parent / f".{cluster.data.name}.initdb-{secrets.token_hex(4)}")
    if cluster.identity is not None:
        cluster.identity.take_over(workspace)
    _run_initdb(cluster, workspace, admin_password)
    (workspace / "data").rename(cluster.data)
    shutil.rmtree(workspace)
    return True


def postgres_url(*, role: str, password: str, port: int, database: str = DATABASE) -> str:
    """Return a connection URL; passwords are URL-safe tokens."""
    return f"postgresql://{role}:{password}@{LOOPBACK}:{port}/{database}"


def wait_for_postgres(
    admin_url: str, *, is_alive: Callable[[], bool] = lambda: True, timeout_seconds: float = START_TIMEOUT_SECONDS
) -> None:
    """Wait until the server accepts a login with our password: another server on the port would refuse it."""

    def probe() -> str | None:
        try:
            psycopg2.connect(admin_url, connect_timeout=5).close()
        except psycopg2.OperationalError as error:
            return str(error).strip().splitlines()[-1]
        return None

    wait_until_ready("PostgreSQL", probe, timeout_seconds=timeout_seconds, is_alive=is_alive)


def ensure_billing_database(admin_url: str, *, password: str) -> None:
    """Create the application's role and database, and set the role's password to ours.

    Idempotent by: each part is created only where absent.
    """
    role = sql.Identifier(APPLICATION_ROLE)
    connection = psycopg2.connect(admin_url)
    try:
        connection.autocommit = True  # CREATE DATABASE cannot run inside a transaction
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (APPLICATION_ROLE,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(role))
            cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(password)))
            # slow-queries and the doctor read other sessions' statistics
            cursor.execute(sql.SQL("GRANT pg_monitor TO {}").format(role))
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), role))
    finally:
        connection.close()
    connection = psycopg2.connect(admin_url.rpartition("/")[0] + f"/{DATABASE}")
    try:
        with connection, connection.cursor() as cursor:  # not a trusted extension: only the administrator can
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    finally:
        connection.close()


def _run_initdb(cluster: PostgresCluster, workspace: Path, admin_password: str) -> None:
    password_file = workspace / "password"
    write_private(password_file, admin_password, owner=cluster.identity)
    identity = cluster.identity
    command: list[str | Path] = [
        cluster.binaries / "initdb",
        *("-D", workspace / "data"),
        *("-U", ADMIN_ROLE),
        *("-A", "scram-sha-256"),
        *("--pwfile", password_file),
        *("-E", "UTF8"),
        "--locale=C.UTF-8",
        *("--set", "dynamic_shared_memory_type=posix"),
    ]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ},
        user=identity.uid if identity else None,
        group=identity.gid if identity else None,
        extra_groups=[] if identity else None,
    )
    if result.returncode != 0:
        shutil.rmtree(workspace)
        raise ServerStartError(server="PostgreSQL", reason=f"initdb failed: {result.stderr.strip()[-500:]}")
