"""Stripe's rate limits, when they are switched on."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_WINDOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many requests a second are answered, over all and per endpoint."""

    overall: int
    per_endpoint: int = 25
    search: int = 20


MODES: dict[str, Limits | None] = {"off": None, "stripe": Limits(overall=25), "live": Limits(overall=100)}
"""Source: Stripe documentation, “Rate limits”: 100 requests a second in live mode, 25 in test mode."""
_METER_EVENTS = "/v1/billing/meter_events"
"""Has a limit of its own, 1,000 a second, which the sandbox does not reach."""


class RateLimits:
    """Counts the requests of the last second of wall time."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._answered: dict[str, deque[float]] = {}
        self.mode = "off"

    def switch(self, mode: object) -> None:
        """Choose the limits.

        Raises: ValueError for an unknown name.
        """
        if not isinstance(mode, str) or mode not in MODES:
            raise ValueError(f"rate_limits is one of {', '.join(MODES)}")
        with self._lock:
            self.mode = mode
            self._answered.clear()

    def refuses(self, method: str, endpoint: str) -> str | None:
        """Count a request, and give the reason when it is one too many; refused ones do not count."""
        limits = MODES[self.mode]
        if limits is None or endpoint == _METER_EVENTS:
            return None
        name = f"{method} {endpoint}"
        at_most = limits.search if endpoint.endswith("/search") else limits.per_endpoint
        now = self._monotonic()
        with self._lock:
            if len(self._recent("", now)) >= limits.overall:
                return "global-rate"
            if len(self._recent(name, now)) >= at_most:
                return "endpoint-rate"
            for each in ("", name):
                self._answered[each].append(now)
        return None

    def _recent(self, name: str, now: float) -> deque[float]:
        times = self._answered.setdefault(name, deque())
        while times and times[0] <= now - _WINDOW_SECONDS:
            times.popleft()
        return times
