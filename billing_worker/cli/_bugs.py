"""What is kept of a bug: its traceback, masked, under an id that the operator's message names."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from billing_worker.runtime.logs import mask
from billing_worker.runtime.sources import read_sources

FILE_NAME = "cli.log"


@dataclass(frozen=True, slots=True)
class Bug:
    """Where to find what happened."""

    id: str
    file: Path


def record_bug(error: Exception, environ: Mapping[str, str]) -> Bug:
    """Append the traceback to the stack's log folder, or to a file of its own where there is none."""
    bug_id = secrets.token_hex(4)
    line = json.dumps(
        {
            "timestamp": datetime.now(UTC).isoformat(),
            "level": "error",
            "event": "internal_error",
            "service": "cli",
            "id": bug_id,
            "traceback": mask("".join(traceback.format_exception(error))),
        }
    )
    folder = read_sources(environ).home / "logs"
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        folder = Path(tempfile.mkdtemp(prefix="nself-error-"))
    path = folder / FILE_NAME
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(line + "\n")
    return Bug(id=bug_id, file=path)
