"""Redis: broker, cache and fast path; it may be emptied, but it must answer and must not evict."""

from __future__ import annotations

import time
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

from billing_worker.doctor.findings import Check, Judgement, Subject, degraded, failed, fine
from billing_worker.doctor.states import Component

SOCKET_SECONDS = 1.0
START = ("nself restart redis", "nself status")
LATER = "work goes on once it is back: rows are the truth, and the rescue finds what is due"


def judge_redis(subject: Subject) -> Judgement:
    """Ping, and read whether it may evict messages."""
    url = subject.settings.redis_url.get_secret_value()
    if not url:
        return failed("REDIS_URL is not set", cause="no Redis is configured", commands=("nself env set REDIS_URL=…",))
    try:
        with Redis.from_url(url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=SOCKET_SECONDS) as redis:
            started = time.perf_counter()
            redis.ping()
            took_ms = (time.perf_counter() - started) * 1000
            memory = cast("dict[str, Any]", redis.info("memory"))
    except (RedisError, ValueError) as error:
        return failed(str(error), cause=f"Redis is not reachable; {LATER}", commands=START)
    policy = memory.get("maxmemory_policy", "unknown")
    evidence = f"ping {took_ms:.1f} ms, {memory.get('used_memory_human', '?')} used, {policy}"
    if policy not in {"noeviction", "unknown"} and memory.get("maxmemory"):
        cause = "under memory pressure Redis would throw away messages of the broker"
        return degraded(evidence, cause=cause, commands=("redis-cli CONFIG SET maxmemory-policy noeviction",))
    return fine(evidence)


CHECKS = (Check("ping", Component.REDIS, judge_redis, needs_database=False),)
