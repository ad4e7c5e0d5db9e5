"""Reads from Stripe kept for a while, where the caller allows it: never before a decision about money.

Any event that is applied in an object's lane makes its copies unreachable: a copy's key carries the lane's generation,
and the drain changes that. One write per drain is all that this costs, and none while the cache is off.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import structlog
from redis import Redis
from redis.exceptions import RedisError

from billing_worker.kernel.keys import lane_of, object_key
from billing_worker.stripe_gateway.transport import Retrieved

PREFIX = "billing:stripe"
"""Below `billing:` everything is a cache: `nself cache clear 'billing:stripe:*'` empties this one."""

_log = structlog.get_logger(__name__)


class ReadCache:
    """Copies of single objects; a Redis that is away has none."""

    def __init__(self, redis: Redis, ttl: timedelta) -> None:
        self._redis = redis
        self._ttl = ttl

    def slot(self, account_id: str, object_type: str, object_id: str, expand: Sequence[str]) -> str | None:
        """Name the place of a copy, None without Redis.

        Order: before Stripe is asked, so that an event that comes in between makes the answer unreachable too.
        """
        key = object_key(account_id, object_type, object_id)
        try:
            generation = self._redis.get(f"{PREFIX}:lane:{lane_of(key)}")
        except RedisError:
            return None
        number = generation.decode() if isinstance(generation, bytes) else "0"
        return f"{PREFIX}:object:{key}:{number}:{','.join(sorted(expand))}"

    def find(self, slot: str) -> Retrieved | None:
        """Return the copy in a place."""
        try:
            found = self._redis.get(slot)
        except RedisError:
            return None
        if not isinstance(found, bytes):
            return None
        kept = json.loads(found)
        return Retrieved(kept["data"], datetime.fromisoformat(kept["observed_at"]), kept["request_id"])

    def keep(self, slot: str, retrieved: Retrieved) -> None:
        """Keep a copy for as long as STRIPE_CACHE_TTL says."""
        body = {"data": retrieved.data, "observed_at": retrieved.observed_at.isoformat()}
        kept = json.dumps(body | {"request_id": retrieved.request_id}, separators=(",", ":"))
        try:
            self._redis.set(slot, kept, px=self._ttl)
        except RedisError as error:
            _log.debug("stripe_cache_lost", error=str(error))

    def forget_lanes(self, lanes: Collection[int]) -> None:
        """Make every copy of these lanes' objects unreachable; the mark outlives any copy from before it."""
        generation = uuid.uuid4().hex
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for lane in lanes:
                    pipeline.set(f"{PREFIX}:lane:{lane}", generation, px=2 * self._ttl)
                pipeline.execute()
        except RedisError as error:
            # Nobody can read a copy either, and it ends by its age.
            _log.debug("stripe_cache_lost", error=str(error))
