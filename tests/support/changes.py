"""The door of a test, and a process that kills itself at a named point of a change."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from billing_worker.changes.change import Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.database.engine import build_engine
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.drain_lane import drain_lane
from billing_worker.inbox.services.write_through import write_through
from billing_worker.kernel.clock import FixedClock
from billing_worker.routing.table import DISPATCHER
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import Retrieved, StripeGateway
from billing_worker.stripe_gateway.operations import Operation
from billing_worker.switches.board import SwitchBoard

POINTS = ("before_call", "after_call", "before_commit", "after_commit")
"""Between the phases of a change: stored, called, outcome written, outcome committed and not yet in the mirror."""


def open_test_door(settings: Settings, unit_of_work: UnitOfWork, gateway: StripeGateway, **changes: Any) -> ChangeDoor:
    """Build the door that commands use: it drains the lanes itself."""

    def attend(lane: int) -> None:
        drain_lane(unit_of_work, DISPATCHER, lane=lane, batch_size=500)

    door = ChangeDoor(unit_of_work, gateway, SwitchBoard(settings), attend, sleep=lambda _seconds: None)
    return replace(door, **changes)


@dataclass(frozen=True)
class Victim:
    """Makes a change in a child process that dies by signal 9 at a point; everything but the rows is lost."""

    settings: Settings
    clock: FixedClock

    def die_at(self, point: str, act: Callable[[ChangeDoor], Changed]) -> None:
        # The child touches nothing of the parent's: engine, gateway and connections are its own.
        child = os.fork()
        if child == 0:
            try:
                act(self._doomed_door(point))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"it got past {point} alive"

    def _doomed_door(self, point: str) -> ChangeDoor:
        engine = build_engine(self.settings, application_name="victim", pool_size=2)
        unit_of_work = UnitOfWork(engine, self.clock, statement_timeout=timedelta(seconds=30))

        def sink(*arguments: Any, **options: Any) -> int:
            row_id = write_through(*arguments, **options)
            if point == "before_commit":
                _die()
            return row_id

        def attend(_lane: int) -> None:
            _die()

        gateway = _DoomedGateway(self.settings)
        gateway.point = point
        return open_test_door(self.settings, unit_of_work, gateway, sink=sink, attend_lane=attend)


class _DoomedGateway(StripeGateway):
    point = ""

    def call(self, operation: Operation, params: Mapping[str, Any], **options: Any) -> Retrieved:
        if self.point == "before_call":
            _die()
        answer = super().call(operation, params, **options)
        if self.point == "after_call":
            _die()
        return answer


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
