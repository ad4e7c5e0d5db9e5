"""Read how usage gets in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError

from billing_worker.doctor.findings import Subject
from billing_worker.domains.usage.buffer import BufferStanding, UsageBuffer
from billing_worker.domains.usage.queries.held import count_held
from billing_worker.domains.usage.queries.reports import SourceActivity, list_source_activity

SOCKET_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class CollectorStanding:
    """The ways in: what each source sent lately, the buffer, and what is held.

    Shape: `buffer` is None when Redis does not answer, `buffer_problem` says why.
    """

    sources: Sequence[SourceActivity]
    buffer_enabled: bool
    buffer: BufferStanding | None
    buffer_problem: str
    held: Mapping[str, int]


def read_collector(subject: Subject) -> CollectorStanding:
    """Ask PostgreSQL for sources and held records, Redis for the buffer."""
    settings = subject.settings
    with subject.unit_of_work.transaction() as session:
        sources = list_source_activity(session, subject.unit_of_work.now())
        held = count_held(session)
    buffer, problem = None, ""
    try:
        url = settings.redis_url.get_secret_value()
        with Redis.from_url(url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=SOCKET_SECONDS) as redis:
            buffer = UsageBuffer(redis, capacity=settings.usage_buffer_size).standing()
    except (RedisError, ValueError) as error:
        problem = str(error)
    return CollectorStanding(sources, settings.usage_enable_buffer, buffer, problem, held)
