"""Who runs PostgreSQL: ourselves, or an unprivileged user when we are root (it refuses to run as root)."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

UNPRIVILEGED_USER = "nobody"
UNPRIVILEGED_ID = 65534
"""Where a container has no passwd entry: the kernel's own overflow id."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and group to run a server as."""

    uid: int
    gid: int

    def take_over(self, folder: Path) -> None:
        """Give a folder to this user, closed to everybody else."""
        os.chown(folder, self.uid, self.gid)
        folder.chmod(0o700)


def server_identity() -> Identity | None:
    """Return the user PostgreSQL must run as, none when the current one will do."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError:
        return Identity(UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    return Identity(entry.pw_uid, entry.pw_gid)


def can_enter(folder: Path, identity: Identity | None) -> bool:
    """Ask the kernel, as that user, whether a folder can be entered; mode bits alone do not know of ACLs."""
    if identity is None:
        return os.access(folder, os.X_OK)
    probe = subprocess.run(
        [shutil.which("test") or "/usr/bin/test", "-x", str(folder)],
        user=identity.uid,
        group=identity.gid,
        extra_groups=[],
        cwd="/",
        check=False,
    )
    return probe.returncode == 0
