"""Runs `nself` as an operator does: a process of its own, its own folder, nothing inherited but the path."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
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
            "PYTHONDONTWRITEBYTECODE": "1",
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
