"""A guard around kombu's Redis channel: a broker that drops the connection must not end the worker.

When the connection goes while the worker holds an unacknowledged message and has prefetch credit left, kombu 5.7 asks
a closed channel for its connection parameters and fails with AttributeError, which ends the worker. As a connection
error the same moment is handled: Celery reconnects.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from kombu.transport.redis import Channel
from redis.exceptions import ConnectionError as RedisConnectionError


def guard_redis_channel(channel_class: type[Any] = Channel) -> None:
    """Make a closed channel answer with a connection error.

    Idempotent by: a mark on the wrapper; a second call changes nothing.
    """
    original = channel_class._connparams  # noqa: SLF001 - the one place that knows where kombu looks
    if getattr(original, "guarded", False):
        return

    @wraps(original)
    def guarded(channel: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - kombu is untyped
        if getattr(channel.connection, "client", None) is None:
            raise RedisConnectionError("the channel is closed")
        return original(channel, *arguments, **options)

    guarded.guarded = True  # type: ignore[attr-defined] # a function carries its own mark
    channel_class._connparams = guarded  # noqa: SLF001
