"""Stopping: workers drain, then what they need; intake goes on unless it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path

from billing_worker.runtime.sources import read_sources
from billing_worker.stack.home import StackHome
from billing_worker.stack.programs import INTAKE_SERVICE, Program, select_programs
from billing_worker.stack.readiness import wait_until_ready
from billing_worker.stack.supervision import end_supervisor
from billing_worker.stack.supervisor_client import ENDED_STATES, SupervisorClient

KILL_SECONDS = 10
"""After a program's own time supervisord kills it, which takes a moment."""

Tell = Callable[[str], None]


def stop_services(
    environ: Mapping[str, str], names: tuple[str, ...], *, with_intake: bool, tell: Tell
) -> tuple[str, ...]:
    """Stop services, all and the supervisor itself for no name, and return the names of processes that were running.

    Order: the highest level first; a level has ended before the one below is asked.
    Raises: UnknownServiceError, ServerStartError when a process does not end.
    """
    programs = select_programs(names)
    if not with_intake and not names_intake(names):
        kept = [each for each in programs if each.service == INTAKE_SERVICE]
        programs = tuple(each for each in programs if each not in kept)
        if kept:
            tell("the receiver keeps storing webhooks; --with-intake stops it too")
    home = StackHome(read_sources(environ).home)
    state = home.read_state()
    client = None if state is None else SupervisorClient(Path(state.socket))
    if client is None or not client.is_running():
        tell("nothing is running")
        return ()
    with home.locked():
        stopped = stop_programs(client, programs, tell=tell)
        if not names:
            end_supervisor(home, client)
    return stopped


def names_intake(names: tuple[str, ...]) -> bool:
    """Say whether a request means the receiver itself: it names it, or everything."""
    return not names or INTAKE_SERVICE in names


def stop_programs(client: SupervisorClient, programs: tuple[Program, ...], *, tell: Tell) -> tuple[str, ...]:
    """Stop the programs that run, level by level from the top, and return their names."""
    states = client.states()
    running = [each for each in programs if each.name in states and states[each.name].state not in ENDED_STATES]
    for _, group in groupby(reversed(running), key=lambda each: each.level):
        level = tuple(group)
        for program in level:
            client.stop(program.name)
        for program in level:
            _await_end(client, program)
            tell(f"{program.name} has stopped")
    return tuple(each.name for each in running)


def _await_end(client: SupervisorClient, program: Program) -> None:
    def probe() -> str | None:
        state = client.states()[program.name].state
        return None if state in ENDED_STATES else f"it is {state.lower()}"

    wait_until_ready(f"the end of {program.name}", probe, timeout_seconds=program.stop_seconds + KILL_SECONDS)
