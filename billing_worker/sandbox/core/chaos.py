"""Seeded disorder of deliveries: late, twice, out of order, not at all, wrongly signed, in an old version."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any

LATE_AFTER = (5, 40)
"""A late delivery waits until this many later events went out, or until a flush."""
TWICE_AFTER = (1, 10)
SHUFFLE_SECONDS = (0.01, 0.06)
"""Long enough for neighbours of one request to overtake, short enough to wait for."""


@dataclass(slots=True)
class Chaos:
    """The probabilities, each between 0 and 1, and the switch that stops all sending."""

    late: float = 0.0
    twice: float = 0.0
    shuffle: float = 0.0
    drop: float = 0.0
    forge: float = 0.0
    outdate: float = 0.0
    seed: int = 0
    paused: bool = False

    def changed(self, values: dict[str, Any]) -> Chaos:
        """Give a copy with some values replaced.

        Raises: ValueError for an unknown name or a value out of range.
        """
        known = asdict(self)
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"unknown delivery setting {name}; known are {', '.join(known)}")
            if name == "paused":
                fits = isinstance(value, bool)
            elif name == "seed":
                fits = isinstance(value, int)
            else:
                fits = isinstance(value, int | float) and 0 <= value <= 1
            if not fits:
                raise ValueError(f"{name} cannot be {value!r}; probabilities lie between 0 and 1")
        return Chaos(**(known | values))


@dataclass(frozen=True, slots=True)
class Fate:
    """What befalls one delivery."""

    is_dropped: bool = False
    held_for_events: int = 0
    delay_seconds: float = 0.0
    copy_after_events: int = 0
    is_forged: bool = False
    is_outdated: bool = False


class Fates:
    """Draws fates; the same seed and the same events give the same fates."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._random = random.Random(chaos.seed)  # noqa: S311 - reproducible on purpose, guards nothing
        # Drawn from a sequence of their own, so that a seed's other fates stay what they were.
        self._alterations = random.Random(f"{chaos.seed}/altered")  # noqa: S311 - as above

    def draw(self) -> Fate:
        """Decide about the next delivery; always the same number of draws, so that fates do not shift."""
        drop, late, shuffle, twice = (self._random.random() for _ in range(4))
        late_by, copy_by = self._random.randint(*LATE_AFTER), self._random.randint(*TWICE_AFTER)
        forge, outdate = self._alterations.random(), self._alterations.random()
        delay = self._random.uniform(*SHUFFLE_SECONDS)
        chaos = self._chaos
        if drop < chaos.drop:
            return Fate(is_dropped=True)
        return Fate(
            held_for_events=late_by if late < chaos.late else 0,
            delay_seconds=delay if shuffle < chaos.shuffle else 0.0,
            copy_after_events=copy_by if twice < chaos.twice else 0,
            is_forged=forge < chaos.forge,
            is_outdated=outdate < chaos.outdate,
        )
