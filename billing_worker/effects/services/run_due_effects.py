"""Perform the due database-only effects of some kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.effects.runner import MAX_ATTEMPTS, DueEffect, EffectFunction, backoff, claim_due

BATCH = 200
"""Effects per transaction: enough to spread the commit, few enough that a rollback costs little."""

_log = structlog.get_logger(__name__)

_FINISH = text(
    """
    UPDATE billing.billing_effects e
    SET status = o.status, detail = o.detail, attempts = e.attempts + 1, finished_at = :now
    FROM unnest(CAST(:ids AS bigint[]), CAST(:statuses AS text[]), CAST(:details AS text[])) AS o (id, status, detail)
    WHERE e.id = o.id
    """
)

_POSTPONE = text(
    """
    UPDATE billing.billing_effects
    SET attempts = :attempts, detail = :detail, next_attempt_at = :next_attempt_at, status = :status,
        finished_at = :finished_at
    WHERE id = :id
    """
)


@dataclass
class EffectsReport:
    """How many effects ended how."""

    done: int = 0
    skipped: int = 0
    failed: int = 0


def run_due_effects(unit_of_work: UnitOfWork, functions: Mapping[str, EffectFunction]) -> EffectsReport:
    """Drain the due effects of the given kinds, batch by batch.

    Phases: one transaction per batch; inside it a savepoint per effect, so that a poisonous one fails alone.
    Idempotent by: the row's status, changed in the transaction that performs the effect.
    """
    report = EffectsReport()
    while True:
        with unit_of_work.transaction() as session:
            now = unit_of_work.now()
            due = claim_due(session, sorted(functions), size=BATCH, now=now)
            _run_batch(session, due, functions, now, report)
        if len(due) < BATCH:
            return report


def _run_batch(
    session: Session,
    due: list[DueEffect],
    functions: Mapping[str, EffectFunction],
    now: datetime,
    report: EffectsReport,
) -> None:
    finished: list[tuple[int, str, str]] = []
    for effect in due:
        try:
            with session.begin_nested():
                outcome = functions[effect.kind](session, effect, now)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            _postpone(session, effect, error, now, report)
        except Exception as error:  # noqa: BLE001 - dispatch: one effect's failure must not take its batch along
            _postpone(session, effect, error, now, report)
        else:
            finished.append((effect.id, outcome.status, outcome.detail))
            setattr(report, outcome.status, getattr(report, outcome.status) + 1)
    if finished:
        ids, statuses, details = zip(*finished, strict=True)
        session.execute(_FINISH, {"ids": list(ids), "statuses": list(statuses), "details": list(details), "now": now})


def _postpone(session: Session, effect: DueEffect, error: Exception, now: datetime, report: EffectsReport) -> None:
    attempts = effect.attempts + 1
    given_up = attempts >= MAX_ATTEMPTS
    _log.warning("effect_failed", effect_key=effect.key, kind=effect.kind, attempts=attempts, exc_info=error)
    session.execute(
        _POSTPONE,
        {
            "id": effect.id,
            "attempts": attempts,
            "detail": f"{type(error).__name__}: {error}"[:500],
            "next_attempt_at": now + backoff(attempts),
            "status": "failed" if given_up else "pending",
            "finished_at": now if given_up else None,
        },
    )
    report.failed += 1
