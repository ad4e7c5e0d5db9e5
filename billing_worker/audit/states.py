"""How an operator's action ended."""

from __future__ import annotations

from enum import StrEnum


class ActionOutcome(StrEnum):
    """How far an action is.

    Shape: started → done | differences | refused | failed; one that stays `started` was killed or is under way.
    """

    STARTED = "started"
    DONE = "done"
    DIFFERENCES = "differences"
    REFUSED = "refused"
    FAILED = "failed"
