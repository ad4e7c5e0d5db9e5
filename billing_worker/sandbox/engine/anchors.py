"""Where a subscription's billing periods are anchored."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from typing import Any

from billing_worker.kernel.periods import add_months
from billing_worker.sandbox.core.errors import invalid

_BOUNDS = {"day_of_month": (1, 31), "month": (1, 12), "hour": (0, 23), "minute": (0, 59), "second": (0, 59)}


def anchor_from(params: dict[str, Any], now: int, trial_end: int | None) -> int:
    """Read a new subscription's anchor: given, configured, the end of its trial, or now.

    Raises: ApiError for one in the past, and for two ways of giving it.
    """
    anchor, config = params.get("billing_cycle_anchor"), params.get("billing_cycle_anchor_config")
    if anchor is not None and config is not None:
        raise invalid(
            "You may only specify one of these parameters: billing_cycle_anchor, billing_cycle_anchor_config.",
            param="billing_cycle_anchor_config",
        )
    if config is not None:
        return _configured(config, trial_end or now)
    if isinstance(anchor, dict):
        anchor = anchor.get("timestamp")
    if isinstance(anchor, int):
        if anchor < now:
            raise invalid("billing_cycle_anchor cannot be in the past.", param="billing_cycle_anchor")
        return anchor
    return trial_end or now


def moved_anchor(params: dict[str, Any]) -> str | None:
    """Read what a change does to the anchor: `now`, `unchanged` or nothing said.

    Raises: ApiError for another word.
    """
    given = params.get("billing_cycle_anchor")
    word: str | None = given.get("type") if isinstance(given, dict) else given
    if word not in {None, "now", "unchanged"}:
        raise invalid(
            "Invalid billing_cycle_anchor[type]: must be one of now or unchanged", param="billing_cycle_anchor[type]"
        )
    return word


def _configured(config: dict[str, int], after: int) -> int:
    for name, value in config.items():
        low, high = _BOUNDS[name]
        if not low <= value <= high:
            raise invalid(
                f"Invalid {name}: must be between {low} and {high}.", param=f"billing_cycle_anchor_config[{name}]"
            )
    at = datetime.fromtimestamp(after, UTC)
    month = at.replace(day=1)
    # A year holds every month; the first candidate that is not over is the anchor.
    candidates = (_in_month(add_months(month, ahead), config, at) for ahead in range(14))
    return next(int(found.timestamp()) for found in candidates if found is not None and found >= at)


def _in_month(month: datetime, config: dict[str, int], at: datetime) -> datetime | None:
    if config.get("month", month.month) != month.month:
        return None
    day = min(config["day_of_month"], calendar.monthrange(month.year, month.month)[1])
    hour, minute, second = (config.get(name, getattr(at, name)) for name in ("hour", "minute", "second"))
    return month.replace(day=day, hour=hour, minute=minute, second=second)
