"""Test clocks on their way: where they go, and how they arrive."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import TEST_CLOCK, Session


def target_of(clock: Document) -> int | None:
    """Tell where a clock is advancing to; None when it stands."""
    if clock["status"] != "advancing":
        return None
    target: int = clock["status_details"]["advancing"]["target_frozen_time"]
    return target


def depart(session: Session, clock: Document, target: int) -> None:
    """Send a clock on its way; the world drives it."""
    clock |= {"status": "advancing", "status_details": {"advancing": {"target_frozen_time": target}}}
    session.tell("test_helpers.test_clock.advancing", clock)


def arrive(session: Session, clock_id: str) -> None:
    """Let a clock stand where it was sent."""
    clock = session.get(TEST_CLOCK, clock_id)
    clock |= {"frozen_time": target_of(clock) or clock["frozen_time"], "status": "ready", "status_details": {}}
    session.tell("test_helpers.test_clock.ready", clock)


def fail(session: Session, clock_id: str) -> None:
    """Let a clock stand where it was, because something on its way broke."""
    clock = session.get(TEST_CLOCK, clock_id)
    clock |= {"status": "internal_failure", "status_details": {}}
    session.tell("test_helpers.test_clock.internal_failure", clock)
