"""Figures of all processes' calls to Stripe, counted per minute in Redis and kept for an hour; lost with it."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from redis import Redis
from redis.exceptions import RedisError

from billing_worker.stripe_gateway.breaker import CircuitState
from billing_worker.stripe_gateway.priority import Priority
from billing_worker.stripe_gateway.transport import Exchange, Request

MINUTES = "nself:stripe:minute"
CIRCUITS = "nself:stripe:circuit"
KEPT_SECONDS = 3_900
"""An hour and five minutes, so that the last hour is whole."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class CallFigures:
    """Calls of a span of minutes.

    Units: `ms` is the sum of the calls' times, without waits. Shape: counted by operation, by HTTP status (or
    `no_answer`) and by priority; `waits` are calls that had to wait for room in the budget.
    """

    calls: Counter[str] = field(default_factory=Counter)
    ms: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    priorities: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    waits: int = 0

    @property
    def total(self) -> int:
        """Return how many calls there were."""
        return self.calls.total()


class FigureKeeper:
    """Counts what goes out; a Redis that is away is not counted in."""

    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis

    def count(
        self, request: Request, exchange: Exchange, *, priority: Priority, has_waited: bool, at: datetime
    ) -> None:
        """Count one exchange in the minute of wall time in which it ended."""
        if self._redis is None:
            return
        key = f"{MINUTES}:{int(at.timestamp()) // 60}"
        steps = {f"n:{request.name}": 1, f"ms:{request.name}": round(exchange.ms), f"s:{exchange.status}": 1}
        steps |= {f"p:{priority}": 1} | ({"waits": 1} if has_waited else {})
        if isinstance(exchange.result, Exception):
            steps[f"r:{request.name}"] = 1
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for name, step in steps.items():
                    pipeline.hincrby(key, name, step)
                pipeline.expire(key, KEPT_SECONDS)
                pipeline.execute()
        except RedisError as error:
            _log.debug("stripe_figures_lost", error=str(error))

    def tell_circuit(self, state: CircuitState, seconds: float) -> None:
        """Let others see this process's circuit for as long as it is not closed."""
        if self._redis is None:
            return
        key = f"{CIRCUITS}:{socket.gethostname()}:{os.getpid()}"
        try:
            if state is CircuitState.CLOSED:
                self._redis.delete(key)
            else:
                self._redis.set(key, state.value, ex=int(seconds * 2))
        except RedisError as error:
            _log.debug("stripe_figures_lost", error=str(error))


def read_figures(redis: Redis, *, now: datetime, span: timedelta) -> CallFigures:
    """Add up the minutes of a span that ends now; `now` is wall time.

    Raises: RedisError.
    """
    last = int(now.timestamp()) // 60
    minutes = max(1, round(span.total_seconds() / 60))
    with redis.pipeline(transaction=False) as pipeline:
        for minute in range(last - minutes + 1, last + 1):
            pipeline.hgetall(f"{MINUTES}:{minute}")
        hashes: list[Mapping[bytes, bytes]] = pipeline.execute()
    by_kind: dict[str, Counter[str]] = {kind: Counter() for kind in ("n", "ms", "s", "p", "r", "waits")}
    for one in hashes:
        for name, value in one.items():
            kind, _, label = name.decode().partition(":")
            by_kind[kind][label] += int(value)
    return CallFigures(
        calls=by_kind["n"],
        ms=by_kind["ms"],
        statuses=by_kind["s"],
        priorities=by_kind["p"],
        refused=by_kind["r"],
        waits=by_kind["waits"].total(),
    )


def read_circuits(redis: Redis) -> dict[str, str]:
    """Return the circuits that are not closed, by host and process id.

    Raises: RedisError.
    """
    keys = sorted(bytes(key) for key in redis.scan_iter(match=f"{CIRCUITS}:*", count=1000))
    values = redis.mget(keys) if keys else []
    return {
        key.decode().removeprefix(f"{CIRCUITS}:"): value.decode()
        for key, value in zip(keys, values, strict=True)
        if isinstance(value, bytes)
    }
