"""The servers of the tests themselves."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import redis

from billing_worker.stack.ephemeral import ephemeral_servers

HOLDER = """
import pathlib, signal, sys
from billing_worker.stack.ephemeral import ephemeral_servers
with ephemeral_servers(pathlib.Path(sys.argv[1])) as servers:
    print(servers.postgres_pid, servers.redis_pid, flush=True)
    signal.pause()
"""


def test_application_role_owns_its_database_and_the_servers_end_with_the_block(tmp_path: Path) -> None:
    with ephemeral_servers(tmp_path) as servers:
        connection = psycopg2.connect(servers.database_url)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_user, r.rolsuper, pg_get_userbyid(d.datdba)"
                " FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()"
            )
            assert cursor.fetchall() == [("billing", False, "billing")]
        connection.close()
        client = redis.Redis.from_url(servers.redis_url)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.close()

    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(servers.database_url)
    for pid in (servers.postgres_pid, servers.redis_pid):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_redis_refuses_strangers(tmp_path: Path) -> None:
    with ephemeral_servers(tmp_path, postgres=False) as servers:
        assert servers.database_url == ""
        address = servers.redis_url.rpartition("@")[2]
        stranger = redis.Redis.from_url(f"redis://{address}")
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()


def test_two_pairs_of_servers_live_side_by_side(tmp_path: Path) -> None:
    with (
        ephemeral_servers(tmp_path / "one", postgres=False) as one,
        ephemeral_servers(tmp_path / "two", postgres=False) as two,
    ):
        first, second = (redis.Redis.from_url(each.redis_url, decode_responses=True) for each in (one, two))
        first.set("name", "one")
        assert second.get("name") is None
        first.close()
        second.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that every user can enter; pytest's own cannot be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_servers_die_with_a_killed_owner(tmp_path: Path, open_folder: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(open_folder)},  # what a killed owner leaves goes with the test
    )
    assert holder.stdout is not None
    pids = [int(word) for word in holder.stdout.readline().split()]
    assert len(pids) == 2
    descriptors = [os.pidfd_open(pid) for pid in pids]

    holder.kill()
    holder.wait()
    holder.stdout.close()

    for descriptor in descriptors:
        assert_ends(descriptor)


def assert_ends(descriptor: int) -> None:
    """Block on the kernel's own notice that a process ended."""
    ready, _, _ = select.select([descriptor], [], [], 30)
    os.close(descriptor)
    assert ready, "the process outlived its owner"
