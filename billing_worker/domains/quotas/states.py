"""The words of quotas."""

from __future__ import annotations

from enum import StrEnum


class Enforcement(StrEnum):
    """What a used-up quota does: hard blocks its user, soft only shows."""

    HARD = "hard"
    SOFT = "soft"


class PeriodStatus(StrEnum):
    """A quota has one open period; all before it are closed."""

    OPEN = "open"
    CLOSED = "closed"
