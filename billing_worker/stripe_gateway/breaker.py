"""A circuit breaker: while Stripe does not answer, calls fail at once instead of each waiting for its timeout."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import StrEnum

import structlog

from billing_worker.stripe_gateway.errors import StripeUnavailable

FAILURES = 10
"""In a row, repetitions counted: two or three calls that Stripe answered at no attempt."""

FIRST_OPEN_SECONDS = 10.0
LONGEST_OPEN_SECONDS = 60.0

_log = structlog.get_logger(__name__)


class CircuitState(StrEnum):
    """Closed: calls go out. Open: none does. Half open: one goes out, and its end decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpenError(StripeUnavailable):
    """Stripe did not answer lately and is not called for a while."""


class CircuitBreaker:
    """The circuit of one process; safe to use from several threads.

    Shape: `tell` hears of every change of state, with the seconds it will last.
    """

    def __init__(
        self,
        *,
        tell: Callable[[CircuitState, float], None] = lambda _state, _seconds: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = CircuitState.CLOSED
        self._tell = tell
        self._monotonic = monotonic
        self._failures = 0
        self._open_seconds = FIRST_OPEN_SECONDS
        self._until = 0.0
        self._lock = threading.Lock()

    def admit(self, operation: str) -> None:
        """Let a call out or refuse it.

        Raises: CircuitOpenError.
        """
        with self._lock:
            if self.state is CircuitState.CLOSED:
                return
            left = self._until - self._monotonic()
            if left > 0:
                raise CircuitOpenError(
                    f"{operation}: Stripe did not answer {self._failures} times in a row and is asked again in "
                    f"{left:.0f} s; `nself billing stripe test-connection` asks now"
                )
            # One probe goes out; whoever comes while it is under way waits for as long as a probe may take.
            self._until = self._monotonic() + self._open_seconds
            self._become(CircuitState.HALF_OPEN)

    def note(self, *, answered: bool) -> None:
        """Hear how a call ended; any answer, a refusal too, shows that Stripe is there."""
        with self._lock:
            if answered:
                self._failures = 0
                if self.state is not CircuitState.CLOSED:
                    self._open_seconds = FIRST_OPEN_SECONDS
                    self._become(CircuitState.CLOSED)
                return
            self._failures += 1
            if self.state is CircuitState.HALF_OPEN:
                self._open_seconds = min(self._open_seconds * 2, LONGEST_OPEN_SECONDS)
            elif self.state is CircuitState.OPEN or self._failures < FAILURES:
                return
            self._until = self._monotonic() + self._open_seconds
            self._become(CircuitState.OPEN)

    def _become(self, state: CircuitState) -> None:
        self.state = state
        _log.warning("stripe_circuit", state=state.value, failures=self._failures, seconds=self._open_seconds)
        self._tell(state, self._open_seconds)
