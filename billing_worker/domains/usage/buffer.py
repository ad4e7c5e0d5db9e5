"""The Redis buffer of usage: a stream of calls that wait for the collector, bounded by the records in it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from redis import Redis

from billing_worker.domains.usage.rules import UsageRecord

STREAM = "nself:usage:{buffer}:calls"
COUNT = "nself:usage:{buffer}:records"
UNREADABLE = "nself:usage:{buffer}:unreadable"
"""One hash slot; `nself:` because a cache may be cleared and this may not."""

_ADD = """
local used = tonumber(redis.call('GET', KEYS[2]) or '0')
if used > 0 and used + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'n', ARGV[1], 's', ARGV[3], 'r', ARGV[4])
redis.call('INCRBY', KEYS[2], ARGV[1])
return 1
"""

# Counts down only what this call removed: of two collectors with the same calls, one finds nothing.
_REMOVE = """
local removed = 0
for index = 1, #ARGV, 2 do
    if redis.call('XDEL', KEYS[1], ARGV[index]) == 1 then removed = removed + tonumber(ARGV[index + 1]) end
end
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[2]) else redis.call('DECRBY', KEYS[2], removed) end
return removed
"""


class BufferedCall(NamedTuple):
    """One call in the buffer.

    Shape: `age` is the time since it was buffered, on Redis's own clock; `records` is None when it cannot be read.
    """

    entry_id: str
    source: str
    record_count: int
    age: timedelta
    records: Sequence[UsageRecord] | None


@dataclass(frozen=True, slots=True)
class BufferStanding:
    """How full the buffer is and how long its oldest call waits."""

    records: int
    capacity: int
    oldest_seconds: float
    unreadable: int


class UsageBuffer:
    """The buffer in one Redis; every method may raise RedisError."""

    def __init__(self, redis: Redis, *, capacity: int) -> None:
        self._redis = redis
        self._capacity = capacity
        self._add = redis.register_script(_ADD)
        self._remove = redis.register_script(_REMOVE)

    def add(self, records: Sequence[UsageRecord], *, source: str) -> bool:
        """Append a call whose records all have keys; False when it does not fit."""
        content = json.dumps([_encode(record) for record in records], separators=(",", ":"))
        return bool(self._add(keys=[STREAM, COUNT], args=[len(records), self._capacity, source, content]))

    def read(self, *, calls: int) -> list[BufferedCall]:
        """Return the oldest calls; they stay until they are removed."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self._redis.xrange(STREAM, count=calls))
        now_ms = self._now_ms() if entries else 0
        return [_decode(entry_id.decode(), fields, now_ms) for entry_id, fields in entries]

    def remove(self, calls: Sequence[BufferedCall]) -> None:
        """Forget calls that PostgreSQL has."""
        arguments = [word for call in calls for word in (call.entry_id, call.record_count)]
        self._remove(keys=[STREAM, COUNT], args=arguments)

    def set_aside(self, call: BufferedCall) -> None:
        """Move a call that cannot be recorded out of the way of the others, unchanged."""
        entries = cast("list[tuple[bytes, Any]]", self._redis.xrange(STREAM, call.entry_id, call.entry_id))
        for _, fields in entries:
            self._redis.xadd(UNREADABLE, fields)
        self.remove([call])

    def standing(self) -> BufferStanding:
        """Measure the buffer."""
        oldest = cast("list[tuple[bytes, Any]]", self._redis.xrange(STREAM, count=1))
        age_ms = self._now_ms() - _milliseconds(oldest[0][0].decode()) if oldest else 0
        return BufferStanding(
            records=int(cast("bytes | None", self._redis.get(COUNT)) or 0),
            capacity=self._capacity,
            oldest_seconds=round(max(age_ms, 0) / 1000, 1),
            unreadable=self._redis.xlen(UNREADABLE),
        )

    def _now_ms(self) -> int:
        seconds, microseconds = self._redis.time()
        return seconds * 1000 + microseconds // 1000


def with_keys(records: Sequence[UsageRecord]) -> list[UsageRecord]:
    """Give a key to every record that has none: what is flushed twice after a crash still counts once."""
    call = uuid.uuid4()
    return [
        record if record.idempotency_key is not None else record._replace(idempotency_key=f"buffered:{call}:{index}")
        for index, record in enumerate(records)
    ]


def _encode(record: UsageRecord) -> Sequence[object]:
    user, metric, value, used_at, unique_key, key = record
    return (user, metric, value, used_at and used_at.isoformat(), unique_key, key)


def _decode(entry_id: str, fields: Mapping[bytes, bytes], now_ms: int) -> BufferedCall:
    age = timedelta(milliseconds=max(now_ms - _milliseconds(entry_id), 0))
    try:
        records = [
            UsageRecord(user, metric, value, used_at and datetime.fromisoformat(used_at), unique_key, key)
            for user, metric, value, used_at, unique_key, key in json.loads(fields[b"r"])
        ]
        return BufferedCall(entry_id, fields[b"s"].decode(), int(fields[b"n"]), age, records)
    except (KeyError, ValueError, TypeError):  # nobody but us writes here; what somebody else wrote must not stop us
        return BufferedCall(entry_id, "", 0, age, None)


def _milliseconds(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
