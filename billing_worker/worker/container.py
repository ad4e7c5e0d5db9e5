"""The one frozen bundle of infrastructure that tasks and commands hand to services."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis
from sqlalchemy import Engine

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.clock import Clock
from billing_worker.kernel.events import Reactions
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.worker.wake import Waker


@dataclass(frozen=True)
class Container:
    """Built once per process in `app.container`; services take single fields out of it, never the whole.

    Shape: `engine` and `unit_of_work` share one pool; `redis` is the cache and fast path, which may be empty at any
    moment; `account_id` is '' for the platform's own account.
    """

    settings: Settings
    engine: Engine
    unit_of_work: UnitOfWork
    clock: Clock
    redis: Redis
    waker: Waker
    stripe: StripeGateway
    reactions: Reactions
