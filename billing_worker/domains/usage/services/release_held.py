"""Release held usage whose user and metric are known by now."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import structlog
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.queries import held as queries
from billing_worker.domains.usage.queries.held import HeldUsage
from billing_worker.domains.usage.queries.users import find_unknown_users
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.domains.usage.states import HeldReason

RECORDS_PER_STEP = 5_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReleaseReport:
    """What a release did; `waiting` still have no user or metric."""

    released: int
    waiting: int
    refused: int


def release_held(unit_of_work: UnitOfWork, *, metrics: MetricCatalog) -> ReleaseReport:
    """Record every held record whose user and metric are known; its key was claimed when it was taken in.

    Phases: one transaction per step: lock, record, forget.
    Idempotent by: a record leaves the held ones in the transaction that records it.
    """
    released = waiting = refused = after = 0
    while True:
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            step = queries.lock_held(session, after=after, limit=RECORDS_PER_STEP)
            if not step:
                break
            after = step[-1].id
            ready = _ready(session, step, metrics)
            waiting += len(step) - len(ready)
            for source, own in groupby(sorted(ready, key=lambda one: (one.source, one.id)), key=lambda one: one.source):
                records = list(own)
                outcome = record_usage(
                    session,
                    # without key: it is claimed already, by this very record
                    [one.record._replace(idempotency_key=None) for one in records],
                    metrics=metrics,
                    source=source,
                    now=now,
                )
                bad = {one.index: one.error for one in outcome.refused}
                for index, error in bad.items():
                    queries.set_reason(session, records[index].id, HeldReason.REFUSED, str(error))
                queries.delete_held(session, [one.id for index, one in enumerate(records) if index not in bad])
                refused += len(bad)
                released += len(records) - len(bad)
    if released or refused:
        _log.info("usage_released", released=released, refused=refused, waiting=waiting)
    return ReleaseReport(released, waiting, refused)


def _ready(session: Session, step: list[HeldUsage], metrics: MetricCatalog) -> list[HeldUsage]:
    strangers = find_unknown_users(session, {one.record.user_id for one in step})
    return [one for one in step if one.record.user_id not in strangers and one.record.metric_type in metrics]
