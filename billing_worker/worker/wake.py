"""Wake-ups: messages that only say "look there". Publishing with kombu alone keeps Celery out of the receiver.

Rows are the truth: a wake-up that cannot be sent is dropped, because a rescue finds due rows within a second.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.messaging import Producer
from redis import Redis
from redis.exceptions import RedisError

from billing_worker.kernel.keys import queue_of_lane

MARK_SECONDS = 2
"""A coalescing mark outlives a lost message by two seconds at most; rescue polls every second anyway."""

SOCKET_SECONDS = 1
"""A hung broker costs a publisher one second, not for ever (PLATFORM, Celery 4)."""

DRAIN_LANE = "inbox.drain_lane"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Delivery:
    """How a message differs from the default: when it is no longer wanted, which limits its run has.

    Units: `expires_after` counts on the clocks of two hosts: leave room for their difference. `limits_seconds` are the
    soft and the hard limit; Celery counts the hard one from the soft one on, so they come together.
    """

    expires_after: timedelta | None = None
    limits_seconds: tuple[int, int] | None = None

    def headers(self) -> dict[str, object]:
        """Return the message headers Celery's workers understand."""
        expires = None if self.expires_after is None else (datetime.now(UTC) + self.expires_after).isoformat()
        soft, hard = self.limits_seconds or (None, None)
        return {"expires": expires, "timelimit": [hard, soft]}


DEFAULT_DELIVERY = Delivery()


class Waker:
    """Publishes wake-ups; safe to use from several threads."""

    def __init__(self, broker_url: str, redis: Redis, *, webhook_queues: int) -> None:
        options = {"socket_timeout": SOCKET_SECONDS, "socket_connect_timeout": SOCKET_SECONDS}
        self._connection = Connection(broker_url, transport_options=options, connect_timeout=SOCKET_SECONDS)
        self._redis = redis
        self._webhook_queues = webhook_queues
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def wake_lane(self, lane: int, *, woken_by: str = "") -> bool:
        """Tell a drain to look at the queue of a lane, unless somebody already did; say whether a message went out.

        Idempotent by: the mark `nself:woken:<queue>`, which the drain clears before it looks for the last time.
        """
        return self.wake_lanes({lane: woken_by})[lane]

    def wake_lanes(self, due: Mapping[int, str]) -> dict[int, bool]:
        """Do the same for several lanes, each with its cause: one message a queue, all marks in one round trip."""
        first: dict[str, int] = {}
        for lane in due:
            first.setdefault(self._queue_of(lane), lane)
        sent = dict.fromkeys(due, False)
        for (queue, lane), is_ours in zip(first.items(), self._mark_all(list(first)), strict=True):
            kwargs = {"lane": lane, "woken_by": due[lane]}
            sent[lane] = is_ours and self.send(DRAIN_LANE, queue=queue, kwargs=kwargs)
        return sent

    def hold_mark(self, lane: int) -> None:
        """Spare everybody the message: who holds the mark clears it before looking for the last time."""
        try:
            self._redis.set(f"nself:woken:{self._queue_of(lane)}", 1, ex=MARK_SECONDS)
        except RedisError as error:
            _log.warning("wake_mark_unavailable", lane=lane, error=str(error))

    def clear_mark(self, lane: int) -> None:
        """Forget that a lane's queue was woken: from here on a new event sends a new message."""
        self._clear(self._queue_of(lane))

    def _queue_of(self, lane: int) -> str:
        return queue_of_lane(lane, self._webhook_queues)

    def wake_task(self, task: str, *, queue: str, delivery: Delivery = DEFAULT_DELIVERY) -> bool:
        """Tell a task that drains its due rows to look, unless it was told and has not started yet.

        Idempotent by: the mark `nself:woken:task:<name>`, cleared when the task starts.
        """
        return self._mark(f"task:{task}") and self.send(task, queue=queue, kwargs={}, delivery=delivery)

    def wake_job(self, job: str, send: Callable[[], bool]) -> bool:
        """Send a scheduled job's message, unless one went out within the last two seconds."""
        return self._mark(f"job:{job}") and send()

    def task_started(self, task: str) -> None:
        """Forget that a task was woken: rows that come due from here on wake it anew."""
        self._clear(f"task:{task}")

    def _mark(self, name: str) -> bool:
        return self._mark_all([name])[0]

    def _mark_all(self, names: Sequence[str]) -> list[bool]:
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.set(f"nself:woken:{name}", 1, nx=True, ex=MARK_SECONDS)
                return [bool(answer) for answer in pipeline.execute()]
        except RedisError as error:
            # Another broker than Redis may still be there; a second message does no harm, a missing one costs a second.
            _log.warning("wake_mark_unavailable", names=" ".join(names), error=str(error))
            return [True] * len(names)

    def _clear(self, name: str) -> None:
        try:
            self._redis.delete(f"nself:woken:{name}")
        except RedisError as error:
            _log.warning("wake_mark_unavailable", name=name, error=str(error))

    def send(
        self, task: str, *, queue: str, kwargs: Mapping[str, object], delivery: Delivery = DEFAULT_DELIVERY
    ) -> bool:
        """Publish one task message in Celery's protocol; False when the broker is away."""
        task_id = str(uuid.uuid4())
        with self._lock:
            try:
                self._publish(task, task_id, queue, kwargs, delivery)
            except (OperationalError, OSError, RedisError, *self._connection.recoverable_connection_errors) as error:
                self._drop_producer()
                _log.warning("wake_unpublished", task=task, queue=queue, error=str(error))
                return False
        return True

    def _publish(self, task: str, task_id: str, queue: str, kwargs: Mapping[str, object], delivery: Delivery) -> None:
        if self._producer is None:
            self._producer = Producer(self._connection.channel(), auto_declare=False)
        self._producer.publish(
            ((), dict(kwargs), {}),
            serializer="json",
            exchange="",
            routing_key=queue,
            declare=[Queue(queue, Exchange(""), routing_key=queue)],
            headers={
                "lang": "py",
                "task": task,
                "id": task_id,
                "root_id": task_id,
                "parent_id": None,
                "argsrepr": "()",
                "kwargsrepr": repr(dict(kwargs)),
                "retries": 0,
                "eta": None,
                "group": None,
                "ignore_result": True,
                "origin": "nself",
                **delivery.headers(),
            },
            correlation_id=task_id,
            retry=False,
        )

    def _drop_producer(self) -> None:
        self._producer = None
        self._connection.release()
        self._connection = self._connection.clone()  # a released connection never connects again
