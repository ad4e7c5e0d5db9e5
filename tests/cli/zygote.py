"""A process that has imported everything once and forks per command: a real process each time, in 20 ms instead of 1 s.

Reads one JSON request a line (arguments, environment, folder, files for the three streams), answers with the exit code.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

import rich.console
import rich.progress
import rich.table

import billing_worker.app.tick
import billing_worker.cli.main as command_line
import billing_worker.doctor.services.examine
import billing_worker.domains.reconciliation.services.reconcile
import billing_worker.rehearsal.rehearse

LOADED = (billing_worker, rich)


def become(request: dict[str, Any]) -> int:
    """Turn this fork into the command and return its exit code."""
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["folder"])
    for number, name, mode in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_WRONLY), (2, "stderr", os.O_WRONLY)):
        opened = os.open(request[name], mode)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = ["nself", *request["arguments"]]
    try:
        command_line.run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BaseException:  # noqa: BLE001 - a fork must never fall back into the loop
        traceback.print_exc()
        return 99
    return 0


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = become(request)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
