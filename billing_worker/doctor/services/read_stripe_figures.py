"""Read what all processes counted of their calls to Stripe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from redis import Redis
from redis.exceptions import RedisError

from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.figures import CallFigures, read_circuits, read_figures

HOUR = timedelta(hours=1)
_SOCKET_SECONDS = 2


@dataclass(frozen=True, slots=True)
class SharedFigures:
    """The calls of a span, and the circuits that are open now by host and process id."""

    figures: CallFigures
    circuits: Mapping[str, str]


def read_stripe_figures(settings: Settings, now: datetime, span: timedelta = HOUR) -> SharedFigures | None:
    """Read the shared figures, None where Redis is not set or does not answer; `now` is wall time."""
    url = settings.redis_url.get_secret_value()
    if not url:
        return None
    client = Redis.from_url(url, socket_timeout=_SOCKET_SECONDS, socket_connect_timeout=_SOCKET_SECONDS)
    try:
        return SharedFigures(read_figures(client, now=now, span=span), read_circuits(client))
    except RedisError:
        return None
    finally:
        client.close()
