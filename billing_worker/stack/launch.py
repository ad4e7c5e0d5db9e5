"""`python -m billing_worker.stack.launch PROGRAM`: become one of our processes with the settings of this moment.

The supervisor starts this, so a restart takes up what `nself env set` wrote, and no secret stands in a command line.
"""

from __future__ import annotations

import os
import sys

from billing_worker.runtime.sources import read_sources
from billing_worker.stack.bound import bind_to_parent
from billing_worker.stack.programs import PROGRAMS, Program

PROCESS_NAME_VARIABLE = "NSELF_PROCESS"
DEFAULT_WEBHOOK_QUEUES = "4"


def command_of(program: Program, environment: dict[str, str], *, run_folder: str) -> list[str]:
    """Fill in the words of a program's command line."""
    count = environment.get("BILLING_WEBHOOK_QUEUES", DEFAULT_WEBHOOK_QUEUES)
    values = {
        "python": sys.executable,
        "run": run_folder,
        "flower_port": environment.get("FLOWER_PORT", ""),
        "webhook_queues": ",".join(f"webhooks.{number}" for number in range(int(count) if count.isdigit() else 0)),
    }
    return [word.format_map(values) for word in program.command]


def past_the_proxy(environment: dict[str, str]) -> dict[str, str]:
    """Keep calls to this machine away from a proxy: the sandbox and the health checks are on loopback."""
    names = [name for name in ("NO_PROXY", "no_proxy") if name in environment] or ["NO_PROXY"]
    return {
        **environment,
        **{name: ",".join(filter(None, (environment.get(name, ""), "localhost", "127.0.0.1"))) for name in names},
    }


def main(arguments: list[str]) -> None:
    """Bind to the supervisor first: reading settings takes time in which it may die."""
    [name] = arguments
    program = next(program for program in PROGRAMS if program.name == name)
    os.umask(0o077)
    bind_to_parent(program.death_signal)
    sources = read_sources(os.environ)
    environment = past_the_proxy({**sources.merged, **dict(program.variables), PROCESS_NAME_VARIABLE: name})
    command = command_of(program, environment, run_folder=str(sources.home / "run"))
    os.execve(command[0], command, environment)  # noqa: S606 - becoming the process is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
