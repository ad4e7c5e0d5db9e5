"""A process that carries out one intent and kills itself with signal 9 at a named point."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from billing_worker.database.clock import DatabaseClock
from billing_worker.database.engine import build_engine
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.effects.services.run_intent import run_intent
from billing_worker.inbox.services.write_through import write_through
from billing_worker.runtime.settings import load_settings
from billing_worker.stripe_gateway.client import Retrieved, StripeGateway
from billing_worker.stripe_gateway.operations import Operation
from billing_worker.switches.board import SwitchBoard


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DoomedGateway(StripeGateway):
    point = ""

    def call(self, operation: Operation, params: Mapping[str, Any], **options: Any) -> Retrieved:
        if self.point == "before_call":
            die()
        answer = super().call(operation, params, **options)
        if self.point == "after_call":
            die()
        return answer


def main() -> None:
    intent_id, point = UUID(sys.argv[1]), sys.argv[2]
    settings = load_settings()
    engine = build_engine(settings, application_name="victim")
    unit_of_work = UnitOfWork(engine, DatabaseClock(engine), statement_timeout=timedelta(seconds=30))
    gateway = DoomedGateway(settings)
    gateway.point = point

    def doomed_sink(*arguments: Any, **options: Any) -> int:
        row_id = write_through(*arguments, **options)
        if point == "before_commit":
            die()
        return row_id

    run_intent(unit_of_work, gateway, intent_id, board=SwitchBoard(settings), sink=doomed_sink)
    if point == "after_commit":
        die()


if __name__ == "__main__":
    main()
