"""Tell how far a comparison is and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.reconciliation.queries import count_differences, find_latest_run, find_run, is_alive
from billing_worker.domains.reconciliation.services.confirm_heals import confirm_heals
from billing_worker.domains.reconciliation.states import RunStatus
from billing_worker.kernel.errors import NotFoundError


def describe_run(
    session: Session, *, now: datetime, run_id: int | None = None, account_id: str = ""
) -> Mapping[str, object]:
    """Return the facts of one run, of the latest one without `run_id`; heals that arrived since are counted first.

    Raises: NotFoundError.
    """
    confirm_heals(session, now=now)
    run = find_latest_run(session, account_id) if run_id is None else find_run(session, run_id)
    if run is None:
        which = "nothing was compared yet" if run_id is None else f"there is no comparison {run_id}"
        raise NotFoundError(f"{which}; `nself billing reconcile` compares")
    has_died = run.status is RunStatus.RUNNING and not is_alive(session, run)
    return {
        "run": run.id,
        "status": "incomplete" if has_died else run.status.value,
        "started_by": run.started_by,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "at": run.cursor.get("type"),
        "compared": run.compared,
        "differing": run.differing,
        "healed": run.healed,
        "refreshed": run.refreshed,
        **dict(sorted(count_differences(session, run.id).items())),
        "detail": "its process died" if has_died else run.detail,
    }
