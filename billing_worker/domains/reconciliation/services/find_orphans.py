"""Find objects that only one side has, or whose parent is missing here."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.reconciliation.inconsistencies import Inconsistency, list_orphans
from billing_worker.domains.reconciliation.queries import find_latest_done_run, list_one_sided
from billing_worker.domains.reconciliation.states import DifferenceKind
from billing_worker.kernel.keys import split_object_key

_MEANING = {
    DifferenceKind.MISSING_HERE: ("Stripe has it and the mirror does not", "nself billing reconcile --type {type}"),
    DifferenceKind.MISSING_AT_STRIPE: (
        "the mirror has it and Stripe does not",
        "nself billing webhook timeline {object}",
    ),
}


def find_orphans(session: Session, *, limit: int = 100) -> tuple[list[Inconsistency], datetime | None]:
    """Return orphans, and when the comparison was made that those of Stripe's side are from, None without one."""
    orphans = list_orphans(session, limit=limit)
    run = find_latest_done_run(session, "")
    if run is None:
        return orphans, None
    for difference in list_one_sided(session, run.id, limit=limit):
        _, object_type, object_id = split_object_key(difference.object_key)
        explanation, mend = _MEANING[difference.kind]
        shown = mend.format(type=object_type, object=object_id)
        orphans.append(Inconsistency(difference.kind.value, object_id, object_type, explanation, shown))
    return orphans, run.finished_at
