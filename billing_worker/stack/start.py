"""Starting: servers first, then the schema, then everything that needs it, each awaited by asking it."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path

from billing_worker.runtime.embedded import MixedInstallationError, Parts, resolve_parts
from billing_worker.runtime.settings import load_settings
from billing_worker.runtime.sources import Sources, read_sources
from billing_worker.stack.binaries import find_postgres, find_redis, reachable_postgres
from billing_worker.stack.environment import fixed_ports, write_stack_environment
from billing_worker.stack.errors import ServerStartError, ServiceNotHereError
from billing_worker.stack.home import StackHome, StackState, open_data_parent, with_free_ports
from billing_worker.stack.ports import is_free
from billing_worker.stack.postgres import (
    ADMIN_ROLE,
    PostgresCluster,
    create_cluster,
    ensure_billing_database,
    postgres_url,
    wait_for_postgres,
)
from billing_worker.stack.private_files import make_private_folder
from billing_worker.stack.programs import FIRST_OWN_LEVEL, PROGRAMS, Program, select_programs
from billing_worker.stack.readiness import wait_until_ready
from billing_worker.stack.redis import redis_command, redis_url, wait_for_redis, write_redis_configuration
from billing_worker.stack.supervision import PACKAGE_PARENT, start_supervisor
from billing_worker.stack.supervisor_client import ENDED_STATES, RUNNING, SupervisorClient

READY_TIMEOUT_SECONDS = 180
"""Ten processes that start at once import for a minute on a small, busy machine."""
ENDS_TOLERATED = 3
"""A program that ends again and again will not start by waiting; the supervisor goes on trying."""
OLD_PROCESS_TIMEOUT_SECONDS = 10
"""What a killed supervisor leaves ends by itself; until then its ports are taken."""
HEALTH_TIMEOUT_SECONDS = 5
MARKS = {"postgres": "DATABASE_URL", "redis": "REDIS_URL", "stripe": "STRIPE_SECRET_KEY"}

Tell = Callable[[str], None]


def start_services(environ: Mapping[str, str], names: tuple[str, ...], *, tell: Tell) -> tuple[str, ...]:
    """Start services with the servers they need, and return the names of processes that were not running before.

    Raises: MixedInstallationError, InvalidValueError, UnknownServiceError, ServiceNotHereError,
    ServerStartError.
    """
    sources = read_sources(environ)
    parts = check_parts(sources)
    load_settings(sources.process)  # what no process could start with is told now, not by ten failing processes
    wanted = _with_servers(_programs_here(names, parts), parts)
    home = StackHome(sources.home)
    with home.locked():
        state, client = _ensure_supervisor(home, sources, parts, tell)
        states = client.states()
        idle = tuple(each for each in wanted if each.name not in states or states[each.name].state != RUNNING)
        if not idle:
            tell(f"already running: {', '.join(each.name for each in wanted)}")
            return ()
        migrated = all(each.level < FIRST_OWN_LEVEL for each in idle)
        for level, group in groupby(idle, key=lambda each: min(each.level, FIRST_OWN_LEVEL)):
            if level >= FIRST_OWN_LEVEL and not migrated:
                _prepare_database(home, sources, state, parts, tell)
                migrated = True
            _start_level(tuple(group), home, state, client, tell)
    return tuple(each.name for each in idle)


def check_parts(sources: Sources) -> Parts:
    """Return which parts are embedded.

    Raises: MixedInstallationError for an unnamed mix, and for a live key that would go to the sandbox.
    """
    parts = resolve_parts(sources.given, sources.stack)
    parts.refuse_mix()
    if "stripe" in parts.embedded and sources.given.get("STRIPE_SECRET_KEY", "").startswith(("sk_live_", "rk_live_")):
        raise MixedInstallationError(
            "STRIPE_SECRET_KEY is a live key and Stripe is the sandbox: use a test key or STRIPE_MOCK_ENABLED=false"
        )
    return parts


def _programs_here(names: tuple[str, ...], parts: Parts) -> tuple[Program, ...]:
    programs = select_programs(names)
    for program in programs:
        if names and program.part is not None and program.part not in parts.embedded:
            raise ServiceNotHereError(service=program.service, variable=MARKS[program.part])
    return tuple(each for each in programs if each.part is None or each.part in parts.embedded)


def _with_servers(programs: tuple[Program, ...], parts: Parts) -> tuple[Program, ...]:
    if all(program.part is not None for program in programs):
        return programs
    return tuple(each for each in PROGRAMS if each in programs or each.part in parts.embedded)


def _ensure_supervisor(
    home: StackHome, sources: Sources, parts: Parts, tell: Tell
) -> tuple[StackState, SupervisorClient]:
    state = home.load_state()
    client = SupervisorClient(Path(state.socket))
    if client.is_running():
        return state, client
    if home.pid_file.exists():
        _await_old_processes(state, tell)
    moved = with_free_ports(state, fixed_ports(sources.given))
    for name, port in moved.ports.items():
        if state.ports.get(name, port) != port:
            tell(f"port {state.ports[name]} of {name} is taken, it moves to {port}")
    home.save_state(moved)
    write_stack_environment(home, moved)
    servers = _server_commands(home, sources, moved, parts, tell)
    start_supervisor(home, moved, sources, servers)
    return moved, client


def _await_old_processes(state: StackState, tell: Tell) -> None:
    tell("the last run was killed: waiting for what is left of it to end")

    def probe() -> str | None:
        taken = [str(port) for port in state.ports.values() if not is_free(port)]
        return f"ports {', '.join(taken)} are taken" if taken else None

    try:
        wait_until_ready("the old stack", probe, timeout_seconds=OLD_PROCESS_TIMEOUT_SECONDS)
    except ServerStartError as error:
        tell(str(error))  # strangers hold the ports: others are chosen


def _server_commands(
    home: StackHome, sources: Sources, state: StackState, parts: Parts, tell: Tell
) -> dict[str, list[str]]:
    commands = {}
    if "postgres" in parts.embedded:
        identity = open_data_parent(state)
        cluster = PostgresCluster(
            binaries=reachable_postgres(find_postgres(sources.process), identity),
            data=Path(state.postgres_data),
            identity=identity,
        )
        if create_cluster(cluster, admin_password=state.passwords["postgres-admin"]):
            tell(f"created a PostgreSQL cluster in {cluster.data}")
        commands["postgres"] = cluster.command(state.ports["postgres"])
    if "redis" in parts.embedded:
        data = home.root / "redis"
        configuration = write_redis_configuration(
            make_private_folder(home.root / "run"),
            data=data,
            port=state.ports["redis"],
            password=state.passwords["redis"],
        )
        commands["redis"] = redis_command(find_redis(sources.process), configuration, data=data)
    return commands


def _start_level(
    programs: tuple[Program, ...], home: StackHome, state: StackState, client: SupervisorClient, tell: Tell
) -> None:
    for program in programs:
        home.ready_file(program.name).unlink(missing_ok=True)
        client.start(program.name)
    for program in programs:
        _await_program(program, home, state, client, tell)
        tell(f"{program.name} is running")


def _await_program(program: Program, home: StackHome, state: StackState, client: SupervisorClient, tell: Tell) -> None:
    def is_alive() -> bool:
        return client.states()[program.name].state not in ENDED_STATES - {"EXITED"}  # which is about to be restarted

    if program.name == "postgres":
        wait_for_postgres(_admin_url(state), is_alive=is_alive)
    elif program.name == "redis":
        cache = redis_url(port=state.ports["redis"], password=state.passwords["redis"])
        wait_for_redis(cache, is_alive=is_alive)
    url = program.health.format_map(_port_values(state)) if program.health else None
    pids: set[int] = set()

    def probe() -> str | None:
        known = client.states()[program.name]
        why = f"`nself logs {program.name} --tail 50` says why"
        if known.pid and known.pid not in pids:
            pids.add(known.pid)
            if len(pids) > ENDS_TOLERATED:
                raise ServerStartError(server=program.name, reason=f"it ended {ENDS_TOLERATED} times; {why}")
            if len(pids) > 1:  # the wait may be long, the reason is not
                tell(f"{program.name} has ended and is tried again; {why}")
        if known.state != RUNNING:
            return f"it is {known.state.lower()}; {why}"
        if program.announces and not home.ready_file(program.name).exists():
            return f"it does not take work yet; {why}"
        return None if url is None else ask_health(url)

    wait_until_ready(program.name, probe, timeout_seconds=READY_TIMEOUT_SECONDS, is_alive=is_alive)


def ask_health(url: str) -> str | None:
    """Ask a health address, never through a proxy; return the complaint, none when it is well."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=HEALTH_TIMEOUT_SECONDS):
            return None
    except (urllib.error.URLError, OSError) as error:
        return f"{url}: {error}"


def _port_values(state: StackState) -> dict[str, int]:
    return {f"{name.replace('-', '_')}_port": port for name, port in state.ports.items()}


def _admin_url(state: StackState) -> str:
    password = state.passwords["postgres-admin"]
    return postgres_url(role=ADMIN_ROLE, password=password, port=state.ports["postgres"], database="postgres")


def _prepare_database(home: StackHome, sources: Sources, state: StackState, parts: Parts, tell: Tell) -> None:
    if "postgres" in parts.embedded:
        ensure_billing_database(_admin_url(state), password=state.passwords["postgres"])
    # read again: the first start has written stack.env since
    environment = read_sources({**sources.process, "NSELF_HOME": str(home.root)}).merged
    result = subprocess.run(
        [sys.executable, "-m", "migrations", "upgrade"],
        cwd=PACKAGE_PARENT,
        env={**environment, "NSELF_HOME": str(home.root), "NSELF_ENV_FILE": str(sources.env_file)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or ["no message"]
        raise ServerStartError(server="the schema", reason=f"migration failed: {lines[-1]}")
    tell("the schema is up to date")
