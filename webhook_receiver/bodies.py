"""Bodies as they arrive: within a time, a size and a number, so that slow senders cost no one else anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from webhook_receiver.stripe_webhook import DISCARD_BYTES, MAX_BODY_BYTES

READ_SECONDS = 10.0
"""A body of a megabyte in this time asks for 0.8 Mbit/s; Stripe's arrive in milliseconds."""

MAX_READING = 512
MAX_READING_BYTES = 64 * 1024 * 1024
"""What all bodies on their way may hold; beyond it the oldest gives way, because a good one is never old."""


class Transport(Protocol):
    """The reading half of granian's protocol object."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece."""
        ...


class UnreadError(Exception):
    """The body did not come in.

    Shape: `status` and `reason` of the answer.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class _Reading:
    """One body under way."""

    __slots__ = ("failure", "held", "task")

    def __init__(self, task: asyncio.Task[object]) -> None:
        self.task = task
        self.held = 0
        self.failure: UnreadError | None = None


class Bodies:
    """All bodies under way in one process."""

    def __init__(
        self,
        *,
        read_seconds: float = READ_SECONDS,
        max_reading: int = MAX_READING,
        max_bytes: int = MAX_READING_BYTES,
    ) -> None:
        self._read_seconds = read_seconds
        self._max_reading = max_reading
        self._max_bytes = max_bytes
        self._readings: dict[_Reading, None] = {}  # in the order of their arrival
        self._held = 0

    @property
    def reading(self) -> int:
        """Count the bodies under way."""
        return len(self._readings)

    async def read(self, transport: Transport, announced: int | None) -> bytes:
        """Return a whole body; `announced` is its Content-Length, None when it comes in chunks.

        Raises: UnreadError when it is too large, too slow, cut short, or gave way to younger ones.
        """
        if announced is not None and announced > DISCARD_BYTES:
            raise _too_large()
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("bodies are read in a task")
        reading = _Reading(task)
        timer = asyncio.get_running_loop().call_later(
            self._read_seconds, self._give_up, reading, f"the body took longer than {self._read_seconds:g} s"
        )
        self._readings[reading] = None
        self._make_room()
        try:
            return await self._collect(reading, transport, announced)
        except asyncio.CancelledError:
            if reading.failure is None:
                raise
            task.uncancel()
            raise reading.failure from None
        finally:
            timer.cancel()
            self._forget(reading)

    async def _collect(self, reading: _Reading, transport: Transport, announced: int | None) -> bytes:
        pieces: list[bytes] = []
        size = 0
        async for piece in transport:
            size += len(piece)
            if size > MAX_BODY_BYTES:
                pieces.clear()  # the rest is read for the sender's sake only
                if size > DISCARD_BYTES:
                    break
                continue
            pieces.append(piece)
            reading.held += len(piece)
            self._held += len(piece)
            self._make_room()
        if size > MAX_BODY_BYTES:
            raise _too_large()
        if announced is not None and size < announced:
            raise UnreadError(400, "body_incomplete", "the body ended before its announced length")
        return b"".join(pieces)

    def _make_room(self) -> None:
        while len(self._readings) > self._max_reading or self._held > self._max_bytes:
            self._give_up(next(iter(self._readings)), "the body gave way to younger ones")

    def _give_up(self, reading: _Reading, message: str) -> None:
        reading.failure = UnreadError(408, "body_too_slow", message)
        reading.task.cancel()
        self._forget(reading)  # at once: what is given up makes room for nobody twice

    def _forget(self, reading: _Reading) -> None:
        if reading in self._readings:
            del self._readings[reading]
            self._held -= reading.held


def _too_large() -> UnreadError:
    return UnreadError(413, "body_too_large", f"the body is larger than {MAX_BODY_BYTES} bytes")
