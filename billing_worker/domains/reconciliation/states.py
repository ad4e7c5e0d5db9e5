"""The states of a reconciliation and the kinds of what it finds."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """How far a run is.

    Shape: running → done | incomplete; incomplete → running (resumed). Only `done` has seen everything.
    """

    RUNNING = "running"
    INCOMPLETE = "incomplete"
    DONE = "done"
    FAILED = "failed"


class DifferenceKind(StrEnum):
    """What is wrong about one object."""

    MISSING_HERE = "missing_here"
    MISSING_AT_STRIPE = "missing_at_stripe"
    DIFFERS = "differs"
