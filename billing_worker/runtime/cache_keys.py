"""Which Redis keys are caches, and how they are deleted."""

from __future__ import annotations

from dataclasses import dataclass

import redis

from billing_worker.kernel.errors import InvalidValueError, RefusedError

CACHE_PREFIX = "billing:"
"""Below it everything may go at any moment; queues, marks and leases live below other names."""
BATCH = 500


@dataclass(frozen=True, slots=True)
class ClearedCache:
    """How many keys matched a pattern, and how many are gone."""

    matched: int
    deleted: int


def clear_cache(redis_url: str, pattern: str, *, only_expired: bool, dry_run: bool) -> ClearedCache:
    """Delete keys by a glob pattern in batches, without blocking the server.

    Shape: Redis drops an expired key when it is touched, so `only_expired` touches and deletes nothing itself.
    Raises: RefusedError for a pattern that could match more than caches, InvalidValueError without a server.
    """
    if not pattern.startswith(CACHE_PREFIX) or pattern == CACHE_PREFIX:
        raise RefusedError(
            f"{pattern!r} is not below {CACHE_PREFIX}: only caches may be cleared, for example billing:quota:user123"
        )
    if not redis_url:
        raise InvalidValueError(
            "REDIS_URL is not set: run `nself start`, or write for example redis://127.0.0.1:6379/0"
        )
    client = redis.Redis.from_url(redis_url, socket_timeout=10, socket_connect_timeout=5)
    matched = deleted = 0
    try:
        batch: list[bytes] = []
        for key in client.scan_iter(match=pattern, count=BATCH):
            batch.append(key)
            if len(batch) == BATCH:
                matched, deleted = matched + len(batch), deleted + _delete(client, batch, only_expired, dry_run)
                batch = []
        return ClearedCache(matched + len(batch), deleted + _delete(client, batch, only_expired, dry_run))
    finally:
        client.close()


def _delete(client: redis.Redis, keys: list[bytes], only_expired: bool, dry_run: bool) -> int:  # noqa: FBT001 - private
    if not keys or dry_run:
        return 0
    if only_expired:
        return len(keys) - int(client.exists(*keys))
    return int(client.unlink(*keys))
