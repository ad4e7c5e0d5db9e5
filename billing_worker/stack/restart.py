"""Restarting: a stop that drains, then a start with the settings of now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from billing_worker.runtime.sources import read_sources
from billing_worker.stack.home import StackHome
from billing_worker.stack.programs import select_programs
from billing_worker.stack.start import check_parts, start_services
from billing_worker.stack.stop import stop_programs, stop_services
from billing_worker.stack.supervisor_client import SupervisorClient

Tell = Callable[[str], None]


def restart_services(environ: Mapping[str, str], names: tuple[str, ...], *, tell: Tell) -> tuple[str, ...]:
    """Stop and start services, everything for no name, and return the names of processes that were started.

    Order: what would refuse the start is checked before anything is stopped; the receiver is away for a second only.
    """
    programs = select_programs(names)
    sources = read_sources(environ)
    check_parts(sources)
    if not names:
        stop_services(environ, names, with_intake=True, tell=tell)
        return start_services(environ, names, tell=tell)
    home = StackHome(sources.home)
    state = home.read_state()
    client = None if state is None else SupervisorClient(Path(state.socket))
    if client is not None and client.is_running():
        with home.locked():
            stop_programs(client, programs, tell=tell)
    return start_services(environ, names, tell=tell)
