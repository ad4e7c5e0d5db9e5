"""Compare one page of Stripe's objects with the mirror and send what differs through the lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_worker.domains.reconciliation.models import ReconciliationDifference, ReconciliationRun, SeenObject
from billing_worker.domains.reconciliation.queries import list_erased, list_mirrored, list_unsettled
from billing_worker.domains.reconciliation.rules import SILENT_TYPES, compute_differences
from billing_worker.domains.reconciliation.states import DifferenceKind
from billing_worker.inbox.services.ingest_snapshot import ingest_snapshot
from billing_worker.inbox.states import Source
from billing_worker.kernel.keys import object_key


def compare_page(
    session: Session,
    run: ReconciliationRun,
    object_type: str,
    objects: Sequence[Mapping[str, Any]],
    *,
    observed_at: datetime,
    now: datetime,
) -> None:
    """Note every object as seen, and for each that differs its snapshot in the inbox and a difference.

    An object with events that wait is left to them. The snapshot's version is the start of the request, so that the
    lane never lets it overwrite a newer event. Idempotent by: run and object.
    """
    by_id = {str(obj["id"]): obj for obj in objects}
    if not by_id:
        return
    seen = [{"run_id": run.id, "object_type": object_type, "object_id": object_id} for object_id in by_id]
    session.execute(insert(SeenObject).values(seen).on_conflict_do_nothing())
    keys = {object_id: object_key(run.account_id, object_type, object_id) for object_id in by_id}
    unsettled = list_unsettled(session, list(keys.values()))
    erased = list_erased(session, run.account_id, [owner for obj in objects if (owner := _owner(obj)) is not None])
    mirrored = list_mirrored(session, run.account_id, object_type, list(by_id))
    run.compared += len(by_id)
    for object_id, obj in by_id.items():
        here = mirrored.get(object_id)
        if keys[object_id] in unsettled or _owner(obj) in erased:
            continue
        if here is None or here.is_deleted != bool(obj.get("deleted")):
            kind, fields = DifferenceKind.MISSING_HERE if here is None else DifferenceKind.DIFFERS, _presence(obj, here)
        else:
            kind, fields = DifferenceKind.DIFFERS, compute_differences(object_type, obj, here.data)
            if not fields or obj.get("deleted"):
                continue
        event_row_id = None
        if run.scope["heals"]:
            event_row_id = ingest_snapshot(
                session, account_id=run.account_id, obj=obj, source=Source.RECONCILE, observed_at=observed_at, now=now
            ).row_id
        if object_type in SILENT_TYPES:
            run.refreshed += 1
        else:
            _record(session, run, keys[object_id], kind, fields, event_row_id=event_row_id, now=now)


def _record(
    session: Session,
    run: ReconciliationRun,
    key: str,
    kind: DifferenceKind,
    fields: Mapping[str, Any],
    *,
    event_row_id: int | None,
    now: datetime,
) -> None:
    added = session.scalar(
        insert(ReconciliationDifference)
        .values(run_id=run.id, object_key=key, kind=kind, fields=dict(fields), found_at=now, event_row_id=event_row_id)
        .on_conflict_do_nothing(constraint="uq_billing_reconciliation_differences")
        .returning(ReconciliationDifference.id)
    )
    run.differing += 1 if added is not None else 0


def _presence(obj: Mapping[str, Any], here: object) -> dict[str, Any]:
    if here is None:
        return {}
    is_deleted = bool(obj.get("deleted"))
    return {"deleted": {"stripe": is_deleted, "here": not is_deleted}}


def _owner(obj: Mapping[str, Any]) -> str | None:
    owner = obj.get("id") if obj.get("object") == "customer" else obj.get("customer")
    if isinstance(owner, Mapping):
        owner = owner.get("id")
    return owner if isinstance(owner, str) else None
