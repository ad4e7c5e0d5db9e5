"""Ask every probe, wake the tasks whose rows are due."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.worker.probes import Probe

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ProbesOutcome:
    """How many tasks were woken, how many probes could not be asked."""

    woken: int
    broken: int


def wake_probes(
    unit_of_work: UnitOfWork, *, probes: Iterable[Probe], now: datetime, wake: Callable[[Probe], bool]
) -> ProbesOutcome:
    """Call `wake` for each probe that has due rows.

    Phases: one transaction per probe: a probe that fails is logged and takes no other slice's work with it.
    """
    woken = broken = 0
    for probe in probes:
        try:
            with unit_of_work.transaction() as session:
                due = probe.due(session, now)
        except Exception as error:  # noqa: BLE001 - one slice's mistake must not stop the wake-ups of all others
            broken += 1
            _log.error("probe_failed", probe=probe.name, exc_info=error)
            continue
        if due > 0 and wake(probe):
            woken += 1
    return ProbesOutcome(woken, broken)
