"""Waiting for a server by asking it, with growing pauses and an end."""

from __future__ import annotations

import time
from collections.abc import Callable

from billing_worker.stack.errors import ServerStartError

FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.5


def wait_until_ready(
    server: str,
    probe: Callable[[], str | None],
    *,
    timeout_seconds: float,
    is_alive: Callable[[], bool] = lambda: True,
) -> None:
    """Ask until the probe has nothing to complain about.

    Raises: ServerStartError with the last complaint, at once when the process has ended.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = FIRST_PAUSE_SECONDS
    while (complaint := probe()) is not None:
        if not is_alive():
            raise ServerStartError(server=server, reason=f"its process ended ({complaint})")
        if time.monotonic() >= deadline:
            raise ServerStartError(server=server, reason=f"no answer in {timeout_seconds:.0f} s ({complaint})")
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
