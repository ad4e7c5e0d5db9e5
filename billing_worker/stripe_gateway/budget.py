"""One call budget for all processes of this installation: counted in Redis over the last second.

A class of low priority stops earlier than one of high priority, so that room is left for whoever waits for an answer.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from redis import Redis
from redis.exceptions import RedisError

from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.errors import RateLimited
from billing_worker.stripe_gateway.priority import Priority

LIVE_PER_SECOND = 100
TEST_PER_SECOND = 25
ENDPOINT_PER_SECOND = 25
"""Source: Stripe documentation, “Rate limits”."""

SHARES = {Priority.INTERACTIVE: 1.0, Priority.WEBHOOKS: 0.9, Priority.PAYMENTS: 0.75, Priority.RECONCILIATION: 0.5}
"""Up to which part of the budget each class may fill a second; the rest is left for the classes before it."""

PATIENCE_SECONDS = {
    Priority.INTERACTIVE: 10.0,
    Priority.WEBHOOKS: 10.0,
    Priority.PAYMENTS: 10.0,
    Priority.RECONCILIATION: 30.0,
}
"""How long a call waits for room before it is refused here; a refused one is tried again by its row."""

LOCAL_SHARE = 10
"""Without Redis nobody knows of the others: each process takes a tenth, as if there were ten."""

REDIS_PAUSE_SECONDS = 5.0
"""After Redis failed it is not asked for this long: its timeout would be paid by every call."""

KEY = "nself:stripe:calls"

# The window slides: at no instant have more than the limit begun within the last second. Redis's own clock counts, so
# that hosts need not agree on theirs.
_TAKE = """
local at = redis.call('TIME')
local now = at[1] * 1000000 + at[2]
local wait = 0
for i = 1, 2 do
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - 1000000)
    local room = tonumber(ARGV[i])
    local used = redis.call('ZCARD', KEYS[i])
    if used >= room then
        local first = redis.call('ZRANGE', KEYS[i], used - room, used - room, 'WITHSCORES')
        wait = math.max(wait, tonumber(first[2]) + 1000000 - now)
    end
end
if wait > 0 then return wait end
for i = 1, 2 do
    redis.call('ZADD', KEYS[i], now, ARGV[3])
    redis.call('PEXPIRE', KEYS[i], 2000)
end
return 0
"""

_log = structlog.get_logger(__name__)


class BudgetSpentError(RateLimited):
    """Our own share of Stripe's rate limit was used up for too long; Stripe was not called."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls per second in all, and of one endpoint."""

    overall: int
    endpoint: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Compute what of Stripe's limits, or of the given one, this installation uses."""
        buffer = settings.stripe_rate_limit_buffer
        stripes = settings.stripe_rate_limit or (LIVE_PER_SECOND if settings.livemode else TEST_PER_SECOND)
        endpoint = max(ENDPOINT_PER_SECOND, settings.stripe_rate_limit)
        return cls(max(1, int(stripes * buffer)), max(1, int(min(endpoint, stripes) * buffer)))

    def room(self, priority: Priority) -> tuple[int, int]:
        """Return how far a class may fill the second, in all and per endpoint."""
        share = SHARES[priority]
        return max(1, int(self.overall * share)), max(1, int(self.endpoint * share))


class CallBudget:
    """Hands out room for calls; safe to use from several threads."""

    def __init__(self, limits: Limits, redis: Redis | None, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.limits = limits
        self._take = None if redis is None else redis.register_script(_TAKE)
        self._is_shared = redis is not None
        self._redis_again_at = 0.0
        self._local: deque[float] = deque()
        self._lock = threading.Lock()
        self._sleep = sleep

    def wait_for_room(self, operation: str, priority: Priority) -> float:
        """Wait until a call may go out and return how many seconds that took.

        Raises: BudgetSpentError when it would take longer than the class has patience.
        """
        if not self._is_shared:
            return 0.0
        waited = 0.0
        while (wait := self._wait_seconds(operation, priority)) > 0:
            # Whoever waits for the same instant must not come back at the same instant.
            wait *= random.uniform(1.0, 1.2)  # noqa: S311 - no secret
            if waited + wait > PATIENCE_SECONDS[priority]:
                raise BudgetSpentError(
                    f"{operation}: no room within the call budget of {self.limits.overall} per second for "
                    f"{waited:.1f} s ({priority}); `nself billing stripe show-rate` shows who uses it",
                    retry_after_seconds=wait,
                )
            self._sleep(wait)
            waited += wait
        return waited

    def _wait_seconds(self, operation: str, priority: Priority) -> float:
        overall, endpoint = self.limits.room(priority)
        if self._take is not None and time.monotonic() >= self._redis_again_at:
            try:
                taken = self._take(keys=[KEY, f"{KEY}:{operation}"], args=[overall, endpoint, uuid.uuid4().hex])
                return int(taken) / 1_000_000
            except RedisError as error:
                self._redis_again_at = time.monotonic() + REDIS_PAUSE_SECONDS
                _log.warning("stripe_budget_local", error=str(error), per_second=self._local_room())
        return self._wait_locally()

    def _local_room(self) -> int:
        return max(1, self.limits.overall // LOCAL_SHARE)

    def _wait_locally(self) -> float:
        with self._lock:
            now = time.monotonic()
            while self._local and self._local[0] <= now - 1:
                self._local.popleft()
            if len(self._local) >= self._local_room():
                return self._local[0] + 1 - now
            self._local.append(now)
            return 0.0
