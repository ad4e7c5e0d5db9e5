"""What a scheduled job is: data, validated when its module is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, get_args

from billing_worker.kernel.errors import InvalidValueError
from schedules.cron import Cron

Overlap = Literal["skip", "allow"]
IfMissed = Literal["each", "last", "skip"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_WIRE_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Job:
    """One job: what runs, where and when.

    Shape: exactly one of `every` (a grid aligned to the epoch), `every_setting` (the same, its length from a setting)
    and `cron` (wall clock of BILLING_TIMEZONE). `task` is called with `due_at`, once for each slot.
    `overlap`: with `skip` a run does not start while another run of the job is alive; it waits.
    `if_missed`, after a time without scheduler: `each` runs every missed slot, `last` the newest only, `skip` none.
    """

    name: str
    task: str
    queue: str
    every: timedelta | None = None
    every_setting: str | None = None
    cron: str | None = None
    overlap: Overlap = "skip"
    if_missed: IfMissed = "each"
    parsed_cron: Cron | None = field(init=False, compare=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Refuse a job that could not run, at import."""
        if not _NAME.fullmatch(self.name):
            raise InvalidValueError(f"job {self.name!r} is no name; write for example quota_reset")
        if not _WIRE_NAME.fullmatch(self.task):
            raise InvalidValueError(f"job {self.name}: task {self.task!r} is no wire name; write slice.verb_object")
        if not self.queue:
            raise InvalidValueError(f"job {self.name} has no queue")
        if sum(when is not None for when in (self.every, self.every_setting, self.cron)) != 1:
            raise InvalidValueError(f"job {self.name} needs exactly one of every, every_setting and cron")
        if self.every is not None:
            check_interval(self.every, job=self.name)
        if self.overlap not in get_args(Overlap):
            raise InvalidValueError(f"job {self.name}: overlap is skip or allow, not {self.overlap!r}")
        if self.if_missed not in get_args(IfMissed):
            raise InvalidValueError(f"job {self.name}: if_missed is each, last or skip, not {self.if_missed!r}")
        if self.cron is not None:
            object.__setattr__(self, "parsed_cron", Cron.parse(self.cron))


def check_interval(every: timedelta, *, job: str) -> None:
    """Refuse an interval the grid cannot have: whole seconds, one at least (the tick comes every second)."""
    if every < timedelta(seconds=1) or every % timedelta(seconds=1):
        raise InvalidValueError(f"job {job}: an interval is whole seconds and not zero, not {every}")
