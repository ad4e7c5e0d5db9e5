"""Bring one of Stripe's objects into the mirror, as it is at Stripe now."""

from __future__ import annotations

from billing_worker.changes.change import Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.await_mirror import await_mirror
from billing_worker.inbox.services.ingest_snapshot import ingest_snapshot
from billing_worker.inbox.states import Source


def import_object(door: ChangeDoor, object_type: str, object_id: str, *, account_id: str = "") -> Changed:
    """Read an object at Stripe, store it as a snapshot and wait until the mirror has it.

    Idempotent by: the snapshot; what is in the mirror already and newer stays.
    Raises: StripeNotFound, StripeUnavailable, RateLimited, StripeKeyRejected, StripeRefused.
    """
    found = door.gateway.retrieve(object_type, object_id, account_id=account_id)
    if door.is_dry_run:
        return Changed(data=found.data, would_call=f"nothing; it would store {object_type} {object_id} in the mirror")
    with door.unit_of_work.transaction() as session:
        stored = ingest_snapshot(
            session,
            account_id=account_id,
            obj=found.data,
            source=Source.IMPORT,
            observed_at=found.observed_at,
            now=door.unit_of_work.now(),
        )
    return Changed(object_id, found.data, is_mirrored=await_mirror(door, stored.row_id))
