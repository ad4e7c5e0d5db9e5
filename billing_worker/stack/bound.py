"""Bind a process to its parent's life, then become the server: a killed supervisor leaves no orphans.

Runs as a plain file with the standard library only (`python -I -S bound.py …`), so that it costs 15 ms.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PARENT_VARIABLE = "NSELF_PARENT_PID"
"""Process that starts us; compared after prctl, because a parent that died before it sends no signal any more."""

KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
"""A server needs no more, and runs as a user whose environment others may read."""


def bind_to_parent(death_signal: str) -> None:
    """Ask the kernel for a signal when the parent dies, and end now if it already has.

    Order: after any change of user, which would clear the request.
    """
    if not sys.platform.startswith("linux"):  # macOS has no counterpart: there the next start finds the old processes
        return
    number = signal.Signals[f"SIG{death_signal}"]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    parent = os.environ.pop(PARENT_VARIABLE, "")
    if parent and os.getppid() != int(parent):
        raise SystemExit(f"parent {parent} has ended")


def drop_to(uid: int, gid: int) -> None:
    """Become another user for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main(arguments: list[str]) -> None:
    """Parse the options, bind, and execute the command after `--`."""
    parser = argparse.ArgumentParser(prog="bound.py")
    parser.add_argument("--death-signal", default="TERM")
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--folder", help="made anew if somebody deleted it: Redis may lose its data at any moment")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    if options.uid is not None:
        os.chdir("/")  # the current folder may be closed to that user
        drop_to(options.uid, options.gid)
    bind_to_parent(options.death_signal)
    if options.folder is not None:
        os.makedirs(options.folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib costs a third of our start
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    environment["TZ"] = "UTC"  # log lines of Redis carry local time without saying so
    os.execve(options.command[0], options.command, environment)  # noqa: S606 - becoming the server is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
