"""Files and folders nobody else may read, written so that a crash leaves the old or the new one, never a half."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from billing_worker.stack.identity import Identity

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def make_private_folder(path: Path) -> Path:
    """Create a folder, and close one that exists to others."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    path.chmod(FOLDER_MODE)
    return path


def write_private(path: Path, text: str, *, owner: Identity | None = None) -> None:
    """Replace a file in one step with mode 600.

    Order: content is on disk before the name points to it, and the name before we return.
    """
    path = path.resolve()  # a link keeps pointing at its file
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if owner is not None:
                os.fchown(file.fileno(), owner.uid, owner.gid)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
