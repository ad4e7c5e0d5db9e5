"""States of a scheduled run."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """A run is `due` until claimed, `running` under a lease, and ends as one of the other three."""

    DUE = "due"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


OPEN = (RunStatus.DUE, RunStatus.RUNNING)
ENDED = (RunStatus.DONE, RunStatus.FAILED, RunStatus.SKIPPED)

STUCK = "stuck"
"""What operators call a running run that holds no lease any more: its worker is gone, another will take it up."""
