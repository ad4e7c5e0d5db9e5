"""The stack as processes: kills, restarts, neighbours, users."""

from __future__ import annotations

import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
import redis

from billing_worker.runtime.sources import read_sources
from billing_worker.stack.binaries import find_postgres, reachable_postgres
from billing_worker.stack.errors import ForeignDataError
from billing_worker.stack.home import StackHome
from billing_worker.stack.identity import server_identity
from billing_worker.stack.postgres import PostgresCluster, create_cluster
from billing_worker.stack.readiness import wait_until_ready
from billing_worker.stack.supervisor_client import SupervisorClient
from tests.cli.nself import Nself, WarmNself

SERVERS = ("postgres", "redis")
MINOR = sys.version_info.minor
UNPRIVILEGED = pwd.getpwnam("daemon").pw_uid
"""A user that every system has and that PostgreSQL's files of other tests do not belong to."""


@contextmanager
def operator(folder: Path, **variables: str) -> Iterator[Nself]:
    nself = Nself(folder, variables)
    try:
        yield nself
    finally:
        stopped = WarmNself(folder, variables)("stop")
        if (state := StackHome(nself.home).read_state()) is not None and not state.socket.startswith(str(folder)):
            shutil.rmtree(Path(state.socket).parent, ignore_errors=True)
        if state is not None and not state.postgres_data.startswith(str(folder)):
            shutil.rmtree(Path(state.postgres_data).parent, ignore_errors=True)
    assert stopped.returncode == 0, stopped.stderr


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that every user can enter; pytest's own cannot be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def started(nself: Nself, *services: str) -> None:
    result = nself("start", *services)
    assert result.returncode == 0, result.stderr


def settings_of(nself: Nself) -> dict[str, str]:
    return read_sources(nself.environ).merged


def client_of(nself: Nself) -> SupervisorClient:
    state = StackHome(nself.home).read_state()
    assert state is not None
    return SupervisorClient(Path(state.socket))


def kill_and_await(*pids: int, also: tuple[int, ...] = ()) -> None:
    """Kill processes and block on the kernel's notice that they, and others bound to them, have ended."""
    descriptors = [os.pidfd_open(pid) for pid in (*pids, *also)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for descriptor in descriptors:
        ready, _, _ = select.select([descriptor], [], [], 30)
        os.close(descriptor)
        assert ready, "a process lives on"


def await_running(nself: Nself, name: str, *, instead_of: int) -> None:
    def probe() -> str | None:
        state = client_of(nself).states()[name]
        return None if state.state == "RUNNING" and state.pid != instead_of else state.state

    wait_until_ready(name, probe, timeout_seconds=30)


def query(nself: Nself, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(settings_of(nself)["DATABASE_URL"])
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def with_redis(nself: Nself, use: Callable[[redis.Redis], object]) -> object:
    client = redis.Redis.from_url(settings_of(nself)["REDIS_URL"], decode_responses=True)
    try:
        return use(client)
    finally:
        client.close()


def test_a_killed_redis_comes_back_with_what_it_held(open_folder: Path) -> None:
    with operator(open_folder) as nself:
        started(nself, *SERVERS)
        with_redis(nself, lambda client: client.set("kept", "1"))
        pid = client_of(nself).states()["redis"].pid

        kill_and_await(pid)
        await_running(nself, "redis", instead_of=pid)

        assert with_redis(nself, lambda client: client.get("kept")) == "1"


def test_a_killed_supervisor_leaves_no_process_and_the_next_start_goes_on(open_folder: Path) -> None:
    with operator(open_folder) as nself:
        started(nself, *SERVERS)
        before = StackHome(nself.home).read_state()
        client = client_of(nself)
        pids = tuple(state.pid for state in client.states().values() if state.pid)
        assert len(pids) == 2

        kill_and_await(client.pid(), also=pids)
        assert nself("status", "redis").returncode == 1
        started(nself, *SERVERS)

        after = StackHome(nself.home).read_state()
        assert before is not None
        assert after is not None
        # the other ports may be taken by anybody meanwhile
        assert [after.ports[name] for name in SERVERS] == [before.ports[name] for name in SERVERS]
        assert replace(after, ports=before.ports) == before


def test_a_second_start_does_nothing_and_says_so(open_folder: Path) -> None:
    with operator(open_folder) as nself:
        started(nself, *SERVERS)
        before = client_of(nself).states()

        again = nself("start", *SERVERS)

        assert (again.returncode, again.stderr) == (0, "already running: postgres, redis\n")
        assert {name: state.pid for name, state in client_of(nself).states().items()} == {
            name: state.pid for name, state in before.items()
        }


def test_starts_at_the_same_time_make_one_stack(open_folder: Path) -> None:
    with operator(open_folder) as nself:
        command = [sys.executable, "-m", "billing_worker.cli.main", "start", "redis"]
        both = [
            subprocess.Popen(command, env=nself.environ, cwd=open_folder, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        told = [process.communicate()[1] for process in both]

        assert [process.returncode for process in both] == [0, 0]
        assert sorted(text.splitlines()[-1] for text in told) == ["already running: redis", "redis is running"]


def test_two_stacks_do_not_disturb_each_other(open_folder: Path) -> None:
    folders = [open_folder / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir(mode=0o711)
    with operator(folders[0]) as one, operator(folders[1]) as two:
        started(one, "redis")
        started(two, "redis")
        with_redis(one, lambda client: client.set("owner", "one"))

        assert with_redis(two, lambda client: client.get("owner")) is None
        assert one("stop").returncode == 0

        assert with_redis(two, lambda client: client.ping()) is True
        assert one("status", "redis").returncode == 1


def test_a_kill_in_the_middle_of_initdb_leaves_nothing_in_the_way(open_folder: Path) -> None:
    half = open_folder / ".nself" / ".postgres.initdb-00000000" / "data"
    with operator(open_folder) as nself:
        started(nself, "redis")  # makes the folder as a start does
        assert nself("stop").returncode == 0
        # what a killed initdb leaves: a folder without PG_VERSION's cluster around it
        shutil.rmtree(nself.home / "postgres")
        half.mkdir(parents=True)
        (half / "PG_VERSION").write_text("18\n")

        started(nself, "postgres")

        assert not half.parent.exists()
        state = StackHome(nself.home).read_state()
        assert state is not None
        assert (Path(state.postgres_data) / "PG_VERSION").exists()


def test_data_of_another_release_is_refused(open_folder: Path) -> None:
    identity = server_identity()
    data = open_folder / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")
    binaries = reachable_postgres(find_postgres({}), identity)

    with pytest.raises(ForeignDataError, match="PostgreSQL 9"):
        create_cluster(PostgresCluster(binaries=binaries, data=data, identity=identity), admin_password="unused")

    assert [entry.name for entry in data.iterdir()] == ["PG_VERSION"]


def test_no_secret_stands_in_a_command_line_or_an_open_file(open_folder: Path) -> None:
    with operator(open_folder) as nself:
        started(nself, *SERVERS)
        state = StackHome(nself.home).read_state()
        assert state is not None
        client = client_of(nself)
        pids = [client.pid(), *(each.pid for each in client.states().values() if each.pid)]
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in pids]

        for secret in (*state.passwords.values(), state.stripe_key, state.webhook_secret):
            assert [line for line in lines if secret in line] == []
        for path in (nself.home / "stack.env", nself.home / "stack.json", nself.home / "run" / "redis.conf"):
            assert path.stat().st_mode & 0o077 == 0


def interpreter_for(nself: Nself, uid: int) -> str:
    """Find a Python that a user can execute and that runs us: this one may lie below root's own folder."""
    for candidate in (sys.executable, os.environ.get("NSELF_TEST_PYTHON", ""), f"/usr/bin/python3.{MINOR}"):
        try:
            subprocess.run(
                [candidate, "-c", "import billing_worker.stack.start"],
                env=nself.environ,
                user=uid,
                group=uid,
                extra_groups=[],
                cwd="/",
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    pytest.skip("no Python of this release that an ordinary user can execute; NSELF_TEST_PYTHON may name one")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_with_a_closed_home_runs_a_stack(open_folder: Path) -> None:
    home = open_folder / "user"
    home.mkdir(mode=0o700)
    os.chown(home, UNPRIVILEGED, UNPRIVILEGED)
    interpreter = interpreter_for(Nself(home), UNPRIVILEGED)
    nself = Nself(home, uid=UNPRIVILEGED, interpreter=interpreter)
    try:
        started(nself, *SERVERS)

        rows = json.loads(nself("status", *SERVERS, "--json").stdout)
        assert [row["state"] for row in rows] == ["running", "running"]
        assert {Path(f"/proc/{row['pid']}").stat().st_uid for row in rows} == {UNPRIVILEGED}
    finally:
        stopped = nself("stop")
    assert stopped.returncode == 0, stopped.stderr
    by_root = Nself(home)("start", "redis")
    assert by_root.returncode == 3
    assert f"belongs to uid {UNPRIVILEGED}" in by_root.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give the data away")
def test_root_below_a_closed_folder_keeps_the_data_where_the_server_can_reach_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with operator(tmp_path) as nself:
        started(nself, "postgres")

        state = StackHome(nself.home).read_state()
        assert state is not None
        assert Path(state.postgres_data).is_relative_to("/var/lib/nself")
        pid = client_of(nself).states()["postgres"].pid
        assert Path(f"/proc/{pid}").stat().st_uid != 0


def test_the_schema_is_made_before_anything_of_ours_starts(open_folder: Path) -> None:
    with operator(open_folder) as nself:
        started(nself, "mail")

        assert query(nself, "SELECT count(*) FROM alembic_version") == [(1,)]
        running = {name for name, state in client_of(nself).states().items() if state.state == "RUNNING"}
        assert running == {"postgres", "redis", "stripe-mock", "mail"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_programs_in_a_closed_folder_are_copied_once_with_their_libraries(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    package = find_postgres({}).parents[1]
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, tmp_path / folder.name, symlinks=True)
    identity = server_identity()
    closed = tmp_path / package.name / "pginstall" / "bin"

    copy = reachable_postgres(closed, identity)
    try:
        assert identity is not None
        told = subprocess.run(
            [copy / "initdb", "--version"], user=identity.uid, group=identity.gid, extra_groups=[], cwd="/", check=True
        )
        assert told.returncode == 0
        made_at = copy.stat().st_mtime_ns
        assert reachable_postgres(closed, identity) == copy
        assert copy.stat().st_mtime_ns == made_at
    finally:
        shutil.rmtree(copy.parents[2])
