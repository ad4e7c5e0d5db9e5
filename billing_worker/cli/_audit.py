"""Who did what on this machine: one line per command that changed something, secrets masked."""

from __future__ import annotations

import json
import os
import pwd
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from billing_worker.runtime import sources
else:
    sources = lazy_module("billing_worker.runtime.sources")

FILE_NAME = "operator.log"
_ASSIGNMENT = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*)=.*", re.DOTALL)
_SECRET = re.compile(r"\b((?:sk|rk)_(?:test|live)_|whsec_)\w+|\b\d{12,19}\b|(?<=:)[^:@/\s]+(?=@)")


def mask_argument(text: str) -> str:
    """Hide the values of assignments, keys, card numbers and passwords of addresses."""
    if (assignment := _ASSIGNMENT.fullmatch(text)) is not None:
        return f"{assignment['name']}=***"
    return _SECRET.sub(lambda match: f"{match[1] or ''}***", text)


def _operator() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's arbitrary user has no entry
        return f"uid {os.getuid()}"


def record_operation(environ: Mapping[str, str], command: str, arguments: tuple[str, ...]) -> None:
    """Append one line to `operator.log` in the stack's folder.

    Shape: commands of the stack run when no database does, so their trail is a file; commands on billing rows leave
    theirs in the transaction they change them in.
    """
    folder = sources.read_sources(environ).home / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    line = json.dumps(
        {
            "timestamp": datetime.now(UTC).isoformat(),
            "level": "info",
            "event": "operator_action",
            "service": "cli",
            "operator": _operator(),
            "command": command,
            "arguments": [mask_argument(argument) for argument in arguments],
        }
    )
    descriptor = os.open(folder / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(line + "\n")
