"""The end-to-end benchmark's peer: `@supabase/stripe-sync-engine` under Fastify, in a database of the same server."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from billing_worker.stack.ports import choose_port
from scripts.benches.running import SECRET, System

PACKAGES = ("@supabase/stripe-sync-engine@0.48.5", "stripe@23.1.0", "fastify@5.12.8")
SERVER = Path(__file__).with_name("peer_server.mjs")
INSTALL_SECONDS = 120


@dataclass(frozen=True)
class Peer:
    """Where the peer listens."""

    port: int


@contextmanager
def running_peer(system: System) -> Iterator[Peer | None]:
    """Install the peer into the benchmark's folder and start it; None, with the reason printed, where that fails."""
    home = system.folder / "peer"
    home.mkdir()
    complaint = _install(home)
    if complaint:
        print(f"\nno comparison with the peer: {complaint}")
        yield None
        return
    port = choose_port()
    system.start_program(
        "peer",
        "node",
        str(SERVER),
        says="peer is listening",
        PEER_HOME=str(home),
        PEER_PORT=str(port),
        PEER_SECRET=SECRET,
        PEER_DATABASE_URL=_create_database(system.servers.admin_database_url),
    )
    yield Peer(port)
    system.stop("peer")


def _install(home: Path) -> str | None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "there is no npm on this machine"
    (home / "package.json").write_text("{}")
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), *PACKAGES]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"npm did not bring it within {INSTALL_SECONDS} s"
    return None if done.returncode == 0 else f"npm could not bring it: {done.stderr[-300:] or done.stdout[-300:]}"


def _create_database(admin_url: str) -> str:
    """Give the peer a database of its own in the same server."""
    connection = psycopg2.connect(admin_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE postgres")  # its migrations name that role
        cursor.execute("CREATE DATABASE peer")
    connection.close()
    return f"{admin_url.rpartition('/')[0]}/peer"
