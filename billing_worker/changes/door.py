"""What a change needs besides itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.effects.intents import SnapshotSink
from billing_worker.inbox.services.write_through import write_through
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.switches.board import SwitchBoard


@dataclass(frozen=True)
class ChangeDoor:
    """The way from a service to Stripe and back into the mirror.

    Shape: `attend_lane` sees to it that a lane is drained soon: wakes it, or drains it right here. With `is_dry_run`
    nothing is stored or sent: `make_change` answers with what it would call.
    """

    unit_of_work: UnitOfWork
    gateway: StripeGateway
    board: SwitchBoard
    attend_lane: Callable[[int], None]
    is_dry_run: bool = False
    patience_seconds: float = 10.0
    sink: SnapshotSink = write_through
    sleep: Callable[[float], None] = time.sleep
