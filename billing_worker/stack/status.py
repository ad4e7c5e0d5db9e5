"""What runs here, and where the rest of the installation is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from billing_worker.runtime.sources import read_sources
from billing_worker.stack.home import StackHome
from billing_worker.stack.programs import PROGRAMS, Program, select_programs
from billing_worker.stack.start import check_parts
from billing_worker.stack.supervisor_client import ProcessState, SupervisorClient


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One line of `nself status`."""

    service: str
    process: str
    state: str
    pid: int | None
    port: int | None
    uptime_seconds: int | None
    note: str

    @property
    def is_as_wanted(self) -> bool:
        """Say whether nothing is wrong with it: it runs, or is not ours to run."""
        return self.state in {"running", "external"}


def list_services(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[ServiceStatus, ...]:
    """Return the state of services, all for no name.

    Raises: UnknownServiceError, MixedInstallationError.
    """
    programs = select_programs(names)
    sources = read_sources(environ)
    embedded = check_parts(sources).embedded
    state = StackHome(sources.home).read_state()
    client = None if state is None else SupervisorClient(Path(state.socket))
    known = client.states() if client is not None and client.is_running() else {}
    ports = {} if state is None else state.ports
    return tuple(
        _row(each, known.get(each.name), ports.get(each.name), is_here=each.part is None or each.part in embedded)
        for each in PROGRAMS
        if each in programs
    )


def _row(program: Program, known: ProcessState | None, port: int | None, *, is_here: bool) -> ServiceStatus:
    if not is_here:
        return ServiceStatus(program.service, program.name, "external", None, None, None, "runs elsewhere")
    if known is None or not known.pid:
        state = "stopped" if known is None else known.state.lower()
        return ServiceStatus(program.service, program.name, state, None, port, None, known.problem if known else "")
    return ServiceStatus(
        program.service, program.name, known.state.lower(), known.pid, port, known.uptime_seconds, known.problem
    )
