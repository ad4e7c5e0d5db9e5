"""List our processes as this host can see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from billing_worker.kernel.errors import BillingError
from billing_worker.runtime.sources import read_sources
from billing_worker.stack.home import StackHome
from billing_worker.stack.status import list_services


@dataclass(frozen=True, slots=True)
class Processes:
    """What runs here.

    Shape: `note` says why there is no list: the processes are not managed by a stack on this host.
    """

    services: list[dict[str, object]]
    wrong: list[str]
    note: str = ""


def list_processes(environ: Mapping[str, str]) -> Processes:
    """Ask the supervisor of the stack in NSELF_HOME; without a stack nothing is claimed about processes."""
    home = StackHome(read_sources(environ).home)
    if home.read_state() is None:
        return Processes([], [], "not managed here: `nself billing health --component workers` asks them by the broker")
    try:
        rows = list_services(environ, ())
    except BillingError as error:
        return Processes([], [], f"unknown: {error}")
    services: list[dict[str, object]] = [
        {"service": row.service, "process": row.process, "state": row.state, "note": row.note} for row in rows
    ]
    return Processes(services, [row.process for row in rows if not row.is_as_wanted])
