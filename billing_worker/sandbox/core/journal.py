"""What was committed, as lines of JSON: one line per commit, so a torn last line is a commit that never was."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from billing_worker.kernel.errors import RefusedError

Line = dict[str, Any]


class StateInUseError(RefusedError):
    """Another process holds the state directory."""


class Journal:
    """An append-only file; without a directory it forgets."""

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / "journal.jsonl"
        self._descriptor: int | None = None
        self._lock: int | None = None
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _lock(directory / "journal.lock")

    def read(self) -> Iterator[Line]:
        """Read the lines of earlier processes; a torn tail is skipped."""
        if self._path is None or not self._path.exists():
            return
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def compact(self, lines: Iterable[Line]) -> None:
        """Replace the file by the state itself, atomically, and go on appending to it."""
        if self._path is None:
            return
        fresh = self._path.with_suffix(".fresh")
        with fresh.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(0o600)
        fresh.replace(self._path)
        self.close()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    def append(self, line: Line) -> None:
        """Hand a line to the operating system in one write: a killed process loses nothing."""
        if self._descriptor is None:
            return
        rest = memoryview(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        start = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            # Half a line in the middle of the file would hide everything after it.
            os.ftruncate(self._descriptor, start)
            raise

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StateInUseError(f"another sandbox uses {path.parent}: stop it, or choose another --state-dir") from error
    return descriptor
