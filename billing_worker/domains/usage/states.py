"""The words of metering: formulas, roundings, rollup levels."""

from __future__ import annotations

from enum import StrEnum


class Formula(StrEnum):
    """How the records of a period become one number."""

    SUM = "sum"
    COUNT = "count"
    MAX = "max"
    LAST = "last"
    UNIQUE = "unique"


class Rounding(StrEnum):
    """How the number of a period becomes the billed quantity."""

    NONE = "none"
    UP = "up"
    DOWN = "down"
    HALF_EVEN = "half_even"


class Level(StrEnum):
    """The rollups, named as their tables end; RAW is the records themselves."""

    RAW = "raw"
    HOURLY = "hourly"
    DAILY = "daily"
    MONTHLY = "monthly"


ROLLUPS = (Level.HOURLY, Level.DAILY, Level.MONTHLY)
"""The order in which every transaction locks rollup rows."""


class Unknown(StrEnum):
    """What happens to usage of a user or metric that is not known."""

    REFUSE = "refuse"
    HOLD = "hold"


class HeldReason(StrEnum):
    """Why a record that was taken in does not count yet."""

    UNKNOWN_USER = "unknown_user"
    UNKNOWN_METRIC = "unknown_metric"
    KEY_CONFLICT = "key_conflict"
    REFUSED = "refused"
