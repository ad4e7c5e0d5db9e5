"""Talks to supervisord: XML-RPC over its unix socket."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing_worker.stack.errors import StackNotRunningError, SupervisorError

ANSWER_TIMEOUT_SECONDS = 30
"""Every call is answered at once: waiting for processes is done by asking for their states."""
ALREADY_STARTED, NOT_RUNNING, BAD_NAME = 60, 70, 10
RUNNING = "RUNNING"
ENDED_STATES = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What supervisord knows of one process."""

    name: str
    state: str
    pid: int
    uptime_seconds: int
    problem: str


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_TIMEOUT_SECONDS)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ANN401 - as the base class
        """Open a connection, known to the base class, which closes it with the transport."""
        connection = _UnixConnection(self._path)
        self._connection = host, connection
        return connection


class SupervisorClient:
    """The supervisor of one stack."""

    def __init__(self, socket_path: Path) -> None:
        self._transport = _UnixTransport(str(socket_path))
        self._server = xmlrpc.client.ServerProxy("http://localhost", transport=self._transport)

    def is_running(self) -> bool:
        """Say whether a supervisor answers."""
        try:
            self._call("getState")
        except StackNotRunningError:
            return False
        return True

    def pid(self) -> int:
        """Return the supervisor's process id."""
        return int(self._call("getPID"))

    def states(self) -> dict[str, ProcessState]:
        """Return the state of every process by name."""
        return {
            info["name"]: ProcessState(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"],
                uptime_seconds=max(0, info["now"] - info["start"]) if info["pid"] else 0,
                problem=info["spawnerr"],
            )
            for info in self._call("getAllProcessInfo")
        }

    def start(self, name: str) -> None:
        """Ask for a start; one that runs already is left alone."""
        self._call("startProcess", name, False, tolerate=ALREADY_STARTED)

    def stop(self, name: str) -> None:
        """Ask for a stop; one that does not run is left alone."""
        self._call("stopProcess", name, False, tolerate=NOT_RUNNING)

    def shutdown(self) -> None:
        """Ask the supervisor to stop what still runs and to end."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: object, tolerate: int | None = None) -> Any:  # noqa: ANN401 - XML-RPC values
        try:
            return getattr(self._server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == tolerate:
                return None
            if fault.faultCode == BAD_NAME:
                raise SupervisorError(
                    reason=f"{arguments[0]} is new since this stack was started: `nself stop`, then `nself start`"
                ) from fault
            raise SupervisorError(reason=fault.faultString) from fault
        except (FileNotFoundError, ConnectionError, http.client.HTTPException) as error:
            raise StackNotRunningError from error
        except TimeoutError as error:
            raise SupervisorError(reason=f"no answer in {ANSWER_TIMEOUT_SECONDS} s") from error
        finally:
            self._transport.close()  # the next call may meet another supervisor
