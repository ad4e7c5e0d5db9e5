"""The table: what follows which event, which newest row, and which effect is performed by what."""

from __future__ import annotations

from billing_worker.domains.subscriptions.handlers import on_subscription
from billing_worker.routing.dispatcher import Dispatcher

DISPATCHER = Dispatcher(
    facts={},
    levels={"subscription": (on_subscription,)},
)
