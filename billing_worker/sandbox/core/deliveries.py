"""Webhook deliveries: a queue, a few threads, retries, and disorder on demand."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

from billing_worker.sandbox.core.chaos import Chaos, Fates
from billing_worker.sandbox.core.event_log import StoredEvent
from billing_worker.sandbox.core.renderings import OLD_VERSION, render
from billing_worker.sandbox.core.transport import Transport

THREADS = 4
FIRST_BACKOFF_SECONDS = 0.2
MAX_BACKOFF_SECONDS = 5.0
_WRONG_SECRET = "whsec_of_somebody_else"  # noqa: S105 - wrong on purpose
GIVE_UP_WALL_SECONDS = 3600.0
GIVE_UP_SIMULATED_SECONDS = 3 * 86_400
"""Source: Stripe documentation, “Webhooks”: up to three days. Both bounds must have passed, so that a clock
moved by a month does not lose what is still being sent."""


@dataclass(slots=True)
class Counters:
    """What became of the deliveries since the process started."""

    deliveries: int = 0
    attempts: int = 0
    failed: int = 0
    duplicates: int = 0
    late: int = 0
    reordered: int = 0
    dropped: int = 0
    forged: int = 0
    outdated: int = 0


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    event: StoredEvent
    endpoint_id: str
    is_copy: bool = False
    is_late: bool = False
    is_forged: bool = False
    is_outdated: bool = False
    attempts: int = 0
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where deliveries go, how they are signed, and the API version they are rendered in, None for today's."""

    url: str
    secret: str
    api_version: str | None = None


FindEndpoint = Callable[[str], Endpoint | None]
Settle = Callable[[StoredEvent, str], None]


class Deliverer:
    """Sends what is due; `settle` is called once per event and endpoint when it needs no further sending."""

    def __init__(self, find_endpoint: FindEndpoint, settle: Settle, now: Callable[[], int]) -> None:
        self._find_endpoint, self._settle, self._now = find_endpoint, settle, now
        self._condition = threading.Condition()
        self._ready: list[tuple[float, int, Delivery]] = []
        self._held: list[tuple[int, Delivery]] = []
        self._tie = itertools.count()
        self._in_flight = 0
        self._sent = 0
        self._newest_sent: dict[str, int] = {}
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self.counters = Counters()
        self.chaos = Chaos()
        self._fates = Fates(self.chaos)
        self._transport = Transport()

    def start(self) -> None:
        """Start the sending threads."""
        self._threads = [
            threading.Thread(target=self._work, name=f"delivery-{index}", daemon=True) for index in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let what is being sent end, and send nothing more."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        for thread in self._threads:
            thread.join()

    def configure(self, chaos: Chaos) -> None:
        """Change the disorder; the sequence of fates starts anew from the seed."""
        with self._condition:
            self.chaos = chaos
            self._fates = Fates(chaos)
            self._condition.notify_all()

    def enqueue(self, event: StoredEvent, endpoint_ids: set[str]) -> None:
        """Send an event to endpoints, as fate will have it."""
        if not endpoint_ids:
            # Waking every sender for nothing would cost more than the event.
            return
        with self._condition:
            for endpoint_id in sorted(endpoint_ids):
                self._enqueue_one(Delivery(event, endpoint_id))
            self._condition.notify_all()

    def flush(self) -> int:
        """Release everything that is held back, and tell how much it was."""
        with self._condition:
            released, self._held = self._held, []
            for _, delivery in released:
                self._push(delivery)
            self._condition.notify_all()
            return len(released)

    def wait_until_idle(self, timeout_seconds: float) -> bool:
        """Block until nothing is waiting to be sent; tell whether that came true in time."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._ready and not self._in_flight, timeout_seconds)

    def status(self) -> dict[str, int]:
        """Give the counters."""
        with self._condition:
            waiting = {"pending": len(self._ready) + self._in_flight, "held": len(self._held)}
            return asdict(self.counters) | waiting

    def _enqueue_one(self, delivery: Delivery) -> None:
        fate = self._fates.draw()
        if fate.is_dropped:
            self.counters.dropped += 1
            self._settle(delivery.event, delivery.endpoint_id)
            return
        delivery.is_forged, delivery.is_outdated = fate.is_forged, fate.is_outdated
        if fate.copy_after_events:
            self._held.append((self._sent + fate.copy_after_events, replace(delivery, is_copy=True)))
        if fate.held_for_events:
            delivery.is_late = True
            self._held.append((self._sent + fate.held_for_events, delivery))
        else:
            self._push(delivery, fate.delay_seconds)

    def _push(self, delivery: Delivery, delay_seconds: float = 0.0) -> None:
        heapq.heappush(self._ready, (time.monotonic() + delay_seconds, next(self._tie), delivery))

    def _work(self) -> None:
        while (delivery := self._take()) is not None:
            endpoint = self._find_endpoint(delivery.endpoint_id)
            accepted = endpoint is not None and self._send(delivery, endpoint)
            if accepted and not delivery.is_copy:
                self._settle(delivery.event, delivery.endpoint_id)
            self._finish(delivery, accepted=accepted, is_gone=endpoint is None)
        self._transport.close()

    def _send(self, delivery: Delivery, endpoint: Endpoint) -> bool:
        version = OLD_VERSION if delivery.is_outdated else endpoint.api_version
        # Only the first attempt is forged: Stripe itself signs the retry that brings the event after all.
        is_forged = delivery.is_forged and delivery.attempts == 0
        with self._condition:
            self.counters.forged += is_forged
            self.counters.outdated += delivery.is_outdated and delivery.attempts == 0
        secret = _WRONG_SECRET if is_forged else endpoint.secret
        return self._transport.post(endpoint.url, secret, render(delivery.event.body(), version))

    def _take(self) -> Delivery | None:
        with self._condition:
            while not self._stopping:
                wait_seconds = self._ready[0][0] - time.monotonic() if self._ready else None
                if wait_seconds is not None and wait_seconds <= 0 and not self.chaos.paused:
                    self._in_flight += 1
                    return heapq.heappop(self._ready)[2]
                self._condition.wait(None if self.chaos.paused else wait_seconds)
            return None

    def _finish(self, delivery: Delivery, *, accepted: bool, is_gone: bool) -> None:
        with self._condition:
            self._in_flight -= 1
            self.counters.attempts += 1
            delivery.attempts += 1
            if accepted:
                self._count(delivery)
                self._release()
            elif is_gone or self._is_hopeless(delivery):
                self.counters.failed += 1
                self._settle(delivery.event, delivery.endpoint_id)
            else:
                backoff = FIRST_BACKOFF_SECONDS * 2 ** min(delivery.attempts - 1, 10)
                self._push(delivery, min(backoff, MAX_BACKOFF_SECONDS))
            self._condition.notify_all()

    def _is_hopeless(self, delivery: Delivery) -> bool:
        return (
            time.monotonic() - delivery.since > GIVE_UP_WALL_SECONDS
            and self._now() - delivery.event.created > GIVE_UP_SIMULATED_SECONDS
        )

    def _count(self, delivery: Delivery) -> None:
        self.counters.deliveries += 1
        if delivery.is_copy:
            self.counters.duplicates += 1
            return
        self._sent += 1
        self.counters.late += delivery.is_late
        newest = self._newest_sent.get(delivery.endpoint_id, 0)
        self.counters.reordered += delivery.event.sequence < newest
        self._newest_sent[delivery.endpoint_id] = max(newest, delivery.event.sequence)

    def _release(self) -> None:
        due = [entry for entry in self._held if entry[0] <= self._sent]
        if due:
            self._held = [entry for entry in self._held if entry[0] > self._sent]
            for _, delivery in due:
                self._push(delivery)
