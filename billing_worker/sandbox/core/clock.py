"""The sandbox's one clock: wall time plus an offset that only grows."""

from __future__ import annotations

import time


class SandboxClock:
    """Tells simulated time in unix seconds."""

    def __init__(self, offset_seconds: float = 0.0) -> None:
        self.offset_seconds = offset_seconds

    def now(self) -> int:
        """Return the current simulated second."""
        return int(time.time() + self.offset_seconds)

    def seconds_until(self, instant: int) -> float:
        """Tell how much wall time passes until a simulated instant by itself."""
        return instant - (time.time() + self.offset_seconds)

    def move_to(self, instant: int) -> None:
        """Move forward so that it is at least `instant`; never backward."""
        self.offset_seconds = max(self.offset_seconds, instant - time.time())
