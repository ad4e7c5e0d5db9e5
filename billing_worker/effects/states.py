"""The states of an effect."""

from __future__ import annotations

from enum import StrEnum


class EffectStatus(StrEnum):
    """How far an effect is: pending → done | skipped | failed; mail may end as unknown (sent, or not)."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNKNOWN = "unknown"
