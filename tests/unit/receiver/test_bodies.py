"""Bodies under way: the oldest gives way, and only as many as must."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine

from webhook_receiver.bodies import Bodies, UnreadError
from webhook_receiver.stripe_webhook import DISCARD_BYTES, MAX_BODY_BYTES


class Trickle:
    """A body whose pieces are given one by one."""

    def __init__(self, *pieces: bytes, is_whole: bool = False) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        for piece in pieces:
            self._queue.put_nowait(piece)
        if is_whole:
            self._queue.put_nowait(None)

    def end(self, *pieces: bytes) -> None:
        for piece in (*pieces, None):
            self._queue.put_nowait(piece)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self._queue.get()) is not None:
            yield piece


async def told(reading: Coroutine[object, object, bytes]) -> bytes | tuple[int, str]:
    try:
        return await reading
    except UnreadError as error:
        return error.status, error.reason


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_oldest_body_gives_way_when_there_are_too_many() -> None:
    async def story() -> list[bytes | tuple[int, str]]:
        bodies = Bodies(max_reading=2)
        transports = [Trickle(b"a") for _ in range(4)]
        tasks = []
        for transport in transports:
            tasks.append(asyncio.create_task(told(bodies.read(transport, 2))))
            await settle()
        assert bodies.reading == 2
        for transport in transports:
            transport.end(b"b")
        found = await asyncio.gather(*tasks)
        assert (bodies.reading, bodies._held) == (0, 0)
        return list(found)

    assert asyncio.run(story()) == [(408, "body_too_slow")] * 2 + [b"ab"] * 2


def test_the_oldest_body_gives_way_when_they_hold_too_much() -> None:
    async def story() -> list[bytes | tuple[int, str]]:
        bodies = Bodies(max_bytes=10)
        transports = [Trickle(b"x" * 4) for _ in range(3)]
        tasks = [asyncio.create_task(told(bodies.read(transport, None))) for transport in transports]
        await settle()
        assert bodies._held == 8
        for transport in transports:
            transport.end()
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(story()) == [(408, "body_too_slow"), b"x" * 4, b"x" * 4]


def test_a_body_has_its_time_and_its_length() -> None:
    async def story() -> list[bytes | tuple[int, str]]:
        bodies = Bodies(read_seconds=0.01)
        large = b"x" * (MAX_BODY_BYTES // 2)
        return [
            await told(bodies.read(Trickle(b"a"), 2)),
            await told(bodies.read(Trickle(b"a", is_whole=True), 2)),
            await told(bodies.read(Trickle(large, large, b"x", is_whole=True), None)),
            await told(bodies.read(Trickle(), DISCARD_BYTES + 1)),
            await told(bodies.read(Trickle(large, large, is_whole=True), MAX_BODY_BYTES)),
            await told(bodies.read(Trickle(is_whole=True), 0)),
        ]

    *refused, largest, empty = asyncio.run(story())
    assert refused == [(408, "body_too_slow"), (400, "body_incomplete"), *[(413, "body_too_large")] * 2]
    assert (len(largest), empty) == (MAX_BODY_BYTES, b"")


def test_a_request_that_is_cancelled_from_outside_is_not_taken_for_slow() -> None:
    async def story() -> bool:
        task = asyncio.create_task(told(Bodies().read(Trickle(b"a"), 2)))
        await settle()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(story())
