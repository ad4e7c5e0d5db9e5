"""Probes: how the tick and the rehearsal driver learn that rows are due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Probe:
    """One kind of due rows and the task that drains them; a slice lists its probes in its tasks.py.

    Shape: `due(session, now)` counts cheaply, under a LIMIT: only zero or more matters. `task` is sent to `queue`
    without arguments and drains all that is due.
    """

    name: str
    task: str
    queue: str
    due: Callable[[Session, datetime], int]
