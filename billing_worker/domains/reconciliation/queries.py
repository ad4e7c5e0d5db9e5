"""What is stored of reconciliations, and what the mirror has of the objects they compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from billing_worker.domains.reconciliation.models import ReconciliationDifference, ReconciliationRun
from billing_worker.domains.reconciliation.states import DifferenceKind, RunStatus
from billing_worker.mirror.registry import REGISTRY
from billing_worker.mirror.tables import table_of

HEARTBEAT_TIMEOUT = timedelta(minutes=2)
"""A page takes seconds; a run that was silent for longer has died with its process."""


@dataclass(frozen=True, slots=True)
class MirroredObject:
    """One object as the mirror has it."""

    object_id: str
    data: dict[str, Any]
    version: datetime
    is_deleted: bool


def find_latest_run(session: Session, account_id: str) -> ReconciliationRun | None:
    """Return the newest run."""
    return session.scalars(
        select(ReconciliationRun)
        .where(ReconciliationRun.account_id == account_id)
        .order_by(ReconciliationRun.id.desc())
        .limit(1)
    ).one_or_none()


def find_run(session: Session, run_id: int) -> ReconciliationRun | None:
    """Return one run."""
    return session.get(ReconciliationRun, run_id)


def find_latest_done_run(session: Session, account_id: str) -> ReconciliationRun | None:
    """Return the newest run that has seen everything of its scope."""
    return session.scalars(
        select(ReconciliationRun)
        .where(ReconciliationRun.account_id == account_id, ReconciliationRun.status == RunStatus.DONE)
        .order_by(ReconciliationRun.id.desc())
        .limit(1)
    ).one_or_none()


def list_runs(session: Session, *, limit: int = 10) -> Sequence[ReconciliationRun]:
    """Return runs, newest first."""
    return session.scalars(select(ReconciliationRun).order_by(ReconciliationRun.id.desc()).limit(limit)).all()


def lock_run(session: Session, run_id: int) -> ReconciliationRun:
    """Lock one run."""
    return session.scalars(select(ReconciliationRun).where(ReconciliationRun.id == run_id).with_for_update()).one()


def is_alive(session: Session, run: ReconciliationRun) -> bool:
    """Say whether a process still works on a run; heartbeats are wall time, a simulated clock may jump."""
    silent_for: timedelta = session.execute(select(func.clock_timestamp() - run.heartbeat_at)).scalar_one()
    return run.status is RunStatus.RUNNING and silent_for < HEARTBEAT_TIMEOUT


def list_differences(session: Session, run_id: int, *, limit: int = 100) -> Sequence[ReconciliationDifference]:
    """Return what a run found, in the order of finding."""
    return session.scalars(
        select(ReconciliationDifference)
        .where(ReconciliationDifference.run_id == run_id)
        .order_by(ReconciliationDifference.id)
        .limit(limit)
    ).all()


def list_one_sided(session: Session, run_id: int, *, limit: int = 100) -> Sequence[ReconciliationDifference]:
    """Return what only one side had when a run compared, and is not healed."""
    return session.scalars(
        select(ReconciliationDifference)
        .where(
            ReconciliationDifference.run_id == run_id,
            ReconciliationDifference.kind != DifferenceKind.DIFFERS,
            ReconciliationDifference.healed_at.is_(None),
        )
        .order_by(ReconciliationDifference.id)
        .limit(limit)
    ).all()


def count_differences(session: Session, run_id: int) -> dict[str, int]:
    """Count what a run found, by kind."""
    rows = session.execute(
        select(ReconciliationDifference.kind, func.count())
        .where(ReconciliationDifference.run_id == run_id)
        .group_by(ReconciliationDifference.kind)
    )
    return {kind.value: count for kind, count in rows}


def count_mirrored(session: Session) -> dict[str, int]:
    """Count the mirror's rows that are not deleted, by type."""
    counted = {}
    for name in REGISTRY:
        table = table_of(name)
        statement = select(func.count()).select_from(table).where(table.c.deleted_at.is_(None))
        counted[name] = session.scalar(statement) or 0
    return counted


def list_mirrored(
    session: Session, account_id: str, object_type: str, object_ids: Sequence[str]
) -> dict[str, MirroredObject]:
    """Return the mirror's rows of some objects by id."""
    table = table_of(object_type)
    rows = session.execute(
        select(table.c.id, table.c.data, table.c.version, table.c.deleted_at.is_not(None)).where(
            table.c.account_id == account_id, table.c.id.in_(object_ids)
        )
    )
    return {row[0]: MirroredObject(row[0], row[1], row[2], row[3]) for row in rows}


_UNSETTLED = text(
    """
    SELECT DISTINCT object_key FROM (
        SELECT object_key FROM billing.billing_webhook_events
        WHERE object_key = ANY(:keys) AND status IN ('pending', 'failed', 'quarantined')
        UNION ALL
        SELECT object_key FROM billing.billing_parked_objects WHERE object_key = ANY(:keys)
    ) unsettled
    """
)


def list_unsettled(session: Session, object_keys: Sequence[str]) -> set[str]:
    """Return the objects whose events still wait in the inbox: what differs there is not a difference yet."""
    return set(session.scalars(_UNSETTLED, {"keys": list(object_keys)}))


_ERASED = text(
    "SELECT customer_id FROM billing.billing_erasures WHERE account_id = :account_id AND customer_id = ANY(:ids)"
)


def list_erased(session: Session, account_id: str, customer_ids: Sequence[str]) -> set[str]:
    """Return the customers whose data were erased here and must not come back."""
    return set(session.scalars(_ERASED, {"account_id": account_id, "ids": list(customer_ids)}))


def list_unseen(session: Session, run: ReconciliationRun, object_type: str, *, after: str, size: int) -> Sequence[str]:
    """Return mirrored objects that a run has not seen at Stripe and that were here before it began."""
    scope = run.scope
    statement = text(
        f"""
        SELECT m.id FROM billing.billing_{REGISTRY[object_type].table} m
        WHERE m.account_id = :account_id AND m.deleted_at IS NULL AND m.id > :after AND m.version < :started_at
          AND (CAST(:start AS timestamptz) IS NULL OR to_timestamp((m.data ->> 'created')::bigint) >= :start)
          AND (CAST(:end AS timestamptz) IS NULL OR to_timestamp((m.data ->> 'created')::bigint) < :end)
          AND NOT EXISTS (SELECT 1 FROM billing.billing_reconciliation_seen s
                          WHERE s.run_id = :run_id AND s.object_type = :object_type AND s.object_id = m.id)
        ORDER BY m.id LIMIT :size
        """  # noqa: S608 - the table's name comes from the registry
    )
    return session.scalars(
        statement,
        {
            "account_id": run.account_id,
            "after": after,
            "started_at": run.started_at,
            "start": scope["start"],
            "end": scope["end"],
            "run_id": run.id,
            "object_type": object_type,
            "size": size,
        },
    ).all()
