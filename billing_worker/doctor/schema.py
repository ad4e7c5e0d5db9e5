"""The schema this release was written for."""

from __future__ import annotations

from functools import cache
from importlib import resources

from alembic.script import ScriptDirectory


@cache
def newest_revision() -> str:
    """Return the name of the last migration."""
    return ScriptDirectory(str(resources.files("migrations"))).get_current_head() or ""
