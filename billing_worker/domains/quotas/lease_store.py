"""Leases in Redis: one script decides a check in one round trip.

Shape: one hash per user, `billing:quota:USER`; a field per lease holds the units left, or `c` and the units that were
left when it was closed. All of it may be deleted at any moment: an absent lease is never spent from.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from uuid import UUID

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

_log = structlog.get_logger(__name__)

KEY_PREFIX = "billing:quota:"
KEPT = timedelta(minutes=10)
"""Well beyond a lease's life, so that what was left of it can still be read when it is settled."""

SOCKET_SECONDS = 0.5
"""A Redis that hangs is one that is away: PostgreSQL answers instead."""

# The answer to a spend: units left if granted, -1 if the lease is absent, -2 - left if it is closed, now or before.
SPEND = """
local left = redis.call('HGET', KEYS[1], ARGV[1])
if not left then return -1 end
local units = tonumber(left)
if not units then return -2 - tonumber(string.sub(left, 2)) end
local wanted = tonumber(ARGV[2])
if units < wanted then
  redis.call('HSET', KEYS[1], ARGV[1], 'c' .. left)
  return -2 - units
end
return redis.call('HINCRBY', KEYS[1], ARGV[1], -wanted)
"""

# Installed once, by the one who committed it: never again after a flush.
INSTALL = """
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""

_ALL_OF_IT = 2**52
"""More than any lease has: closes it. Numbers of Redis's scripts are exact up to 2**53."""


class Gone(Enum):
    """Why a lease could not be spent from, without news of its units."""

    ABSENT = "absent"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Spent:
    """Units were granted; `left` remain in the lease."""

    left: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The lease is closed for all; `left` units go back to PostgreSQL."""

    left: int


def connect(redis_url: str) -> Redis:
    """Connect for leases: no command is ever sent twice, because a lease installed twice would be sold twice."""
    return Redis.from_url(
        redis_url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
    )


class LeaseStore:
    """What Redis can do with leases; an unreachable Redis is an answer, not an error."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._spend = redis.register_script(SPEND)
        self._install = redis.register_script(INSTALL)

    def spend(self, user_id: str, lease: str, units: int) -> Spent | Closed | Gone:
        """Take units out of a lease, or close it when it has too few."""
        try:
            try:
                answer = self._redis.evalsha(self._spend.sha, 1, KEY_PREFIX + user_id, lease, units)
            except NoScriptError:
                answer = self._spend(keys=[KEY_PREFIX + user_id], args=[lease, units])
        except RedisError as error:
            _log.warning("quota_redis_away", error=str(error))
            return Gone.UNREACHABLE
        if answer >= 0:
            return Spent(answer)
        return Gone.ABSENT if answer == -1 else Closed(-2 - answer)

    def close(self, user_id: str, lease_id: UUID) -> Closed | Gone:
        """Close a lease for everybody and return what is left of it, the same each time."""
        answer = self.spend(user_id, str(lease_id), _ALL_OF_IT)
        return Closed(answer.left) if isinstance(answer, Spent) else answer

    def install(self, user_id: str, lease_id: UUID, units: int) -> bool:
        """Hand a committed lease over to Redis, and say whether it got there."""
        seconds = int(KEPT.total_seconds())
        try:
            self._install(keys=[KEY_PREFIX + user_id], args=[str(lease_id), units, seconds])
        except RedisError as error:
            _log.warning("quota_redis_away", error=str(error))
            return False
        return True
