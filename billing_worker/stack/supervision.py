"""supervisord: its configuration, its start and its end."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.sources import Sources
from billing_worker.stack.bound import PARENT_VARIABLE
from billing_worker.stack.errors import ServerStartError
from billing_worker.stack.home import StackHome, StackState, open_socket_folder
from billing_worker.stack.private_files import write_private
from billing_worker.stack.programs import PROGRAMS, Program
from billing_worker.stack.readiness import wait_until_ready
from billing_worker.stack.supervisor_client import SupervisorClient

PACKAGE_PARENT = Path(__file__).parents[2]
"""Where `python -m` finds our packages, installed or not."""

LOG_BYTES = "10MB"
LOG_BACKUPS = 5
START_RETRIES = 1000
"""Each waits one second longer than the last: a database that is away for a day is still waited for."""
START_TIMEOUT_SECONDS = 20
FIRST_LAUNCHED_LEVEL = 20
"""From here on programs read settings; PostgreSQL and Redis below get theirs in files and options."""
STOP_TIMEOUT_SECONDS = 150
"""Longer than the longest drain of a program, twice: after its own signal a process gets SIGKILL."""


def supervisor_configuration(home: StackHome, state: StackState, servers: Mapping[str, list[str]]) -> str:
    """Return supervisord's configuration: our programs through `launch`, servers by their own command lines."""
    if any(character in str(home.root) for character in ";\n\r"):
        raise InvalidValueError(f"{home.root} contains a semicolon or a line end: choose another NSELF_HOME")
    general: dict[str, dict[str, object]] = {
        "supervisord": {
            "nodaemon": "true",
            "logfile": home.logs / "supervisord.log",
            "logfile_maxbytes": LOG_BYTES,
            "logfile_backups": LOG_BACKUPS,
            "pidfile": home.pid_file,
            "directory": PACKAGE_PARENT,
            "umask": "077",
            "identifier": "nself",
            **({"user": "root"} if os.geteuid() == 0 else {}),
        },
        "unix_http_server": {"file": state.socket, "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    programs = {
        f"program:{program.name}": _program_section(home, program, servers)
        for program in PROGRAMS
        if program.name in servers or program.level >= FIRST_LAUNCHED_LEVEL
    }
    return "\n".join(_section_lines({**general, **programs}))


def start_supervisor(home: StackHome, state: StackState, sources: Sources, servers: Mapping[str, list[str]]) -> None:
    """Write the configuration, start supervisord away from the terminal, and wait until it answers."""
    open_socket_folder(state)
    write_private(home.configuration, supervisor_configuration(home, state, servers))
    environment = {**sources.process, "NSELF_HOME": str(home.root), "NSELF_ENV_FILE": str(sources.env_file)}
    # the shell puts its own pid, which supervisord takes over, where the children compare their parent with it
    shell = f'{PARENT_VARIABLE}=$$; export {PARENT_VARIABLE}; exec "$@"'
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(home.configuration)]
    with (home.logs / "supervisord.start.log").open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", shell, "sh", *command],
            cwd=PACKAGE_PARENT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    client = SupervisorClient(Path(state.socket))
    try:
        wait_until_ready(
            "supervisord",
            lambda: None if client.is_running() else "its socket does not answer",
            timeout_seconds=START_TIMEOUT_SECONDS,
            is_alive=lambda: process.poll() is None,
        )
    except ServerStartError as error:
        text = (home.logs / "supervisord.start.log").read_text(errors="replace").strip()
        raise ServerStartError(server="supervisord", reason=f"{error}; it said: {text[-500:]}") from error


def end_supervisor(home: StackHome, client: SupervisorClient) -> None:
    """Shut supervisord down and wait until it has taken its pid file away, which is the last thing it does.

    Raises: ServerStartError when it lives on.
    """
    client.shutdown()

    def probe() -> str | None:
        if client.is_running():
            return "it still answers"
        return "its pid file is still there" if home.pid_file.exists() else None

    wait_until_ready("the end of supervisord", probe, timeout_seconds=STOP_TIMEOUT_SECONDS)


def _program_section(home: StackHome, program: Program, servers: Mapping[str, list[str]]) -> dict[str, object]:
    command = servers.get(program.name) or [sys.executable, "-m", "billing_worker.stack.launch", program.name]
    return {
        "command": shlex.join(command),
        "autostart": "false",
        "autorestart": "true",
        "startsecs": program.steady_seconds,
        "startretries": START_RETRIES,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_seconds,
        "killasgroup": "true",
        "priority": program.level,
        "redirect_stderr": "true",
        "stdout_logfile": home.logs / f"{program.name}.log",
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": LOG_BACKUPS,
    }


def _section_lines(sections: Mapping[str, Mapping[str, object]]) -> Iterable[str]:
    for title, values in sections.items():
        yield f"[{title}]"
        for name, value in values.items():
            yield f"{name}={str(value).replace('%', '%%')}"
        yield ""
