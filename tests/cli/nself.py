"""Runs `nself` as an operator does: a process of its own, its own folder, nothing inherited but the path."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 240


@dataclass(frozen=True)
class Nself:
    """An operator's shell in one folder."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    uid: int | None = None
    interpreter: str = sys.executable

    @property
    def home(self) -> Path:
        return self.folder / ".nself"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join((str(CHECKOUT), sysconfig.get_path("purelib"))),
            "NSELF_HOME": str(self.home),
            "NSELF_ENV_FILE": str(self.folder / ".env"),
            **self.variables,
        }

    def __call__(self, *arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.interpreter, "-m", "billing_worker.cli.main", *arguments],
            env={**self.environ, **variables},
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
            user=self.uid,
            group=self.uid,
            extra_groups=None if self.uid is None else [],
        )


@dataclass(frozen=True)
class WarmNself(Nself):
    """The same, out of a process that has its imports behind it: for commands that start no services."""

    def __call__(self, *arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as streams:
            paths = {name: Path(streams, name) for name in ("stdin", "stdout", "stderr")}
            for path in paths.values():
                path.touch()
            paths["stdin"].write_text(stdin)
            request = {
                "arguments": arguments,
                "environ": {**self.environ, **variables},
                "folder": str(self.folder),
                **{name: str(path) for name, path in paths.items()},
            }
            code = _ask_zygote(json.dumps(request))
            return subprocess.CompletedProcess(
                ["nself", *arguments], code, paths["stdout"].read_text(), paths["stderr"].read_text()
            )


def _ask_zygote(request: str) -> int:
    process = _zygote()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request + "\n")
    process.stdin.flush()
    return int(process.stdout.readline())


@cache
def _zygote() -> subprocess.Popen[str]:
    """Start one for this test process; it ends with its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.zygote"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def end() -> None:
        process.communicate()

    atexit.register(end)
    return process
