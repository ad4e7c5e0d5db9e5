"""Where settings are written, read without judging them: process environment, env file, the stack's own file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from billing_worker.runtime.embedded import merge_environment

STACK_FILE = "stack.env"


@dataclass(frozen=True, slots=True)
class Sources:
    """The raw texts of settings, by source."""

    env_file: Path
    home: Path
    process: Mapping[str, str]
    written: Mapping[str, str]
    stack: Mapping[str, str]

    @property
    def given(self) -> dict[str, str]:
        """Return what people said, without what the stack wrote; empty values count as absent."""
        return {name: value for name, value in {**self.written, **self.process}.items() if value != ""}

    @property
    def merged(self) -> dict[str, str]:
        """Return what counts."""
        return merge_environment(self.process, self.written, self.stack)


def read_sources(environ: Mapping[str, str]) -> Sources:
    """Read the files that the process environment points to."""
    env_file = Path(environ.get("NSELF_ENV_FILE") or ".env").absolute()
    written = _read_file(env_file)
    home = Path(environ.get("NSELF_HOME") or written.get("NSELF_HOME") or ".nself").absolute()
    return Sources(
        env_file=env_file, home=home, process=dict(environ), written=written, stack=_read_file(home / STACK_FILE)
    )


def _read_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
