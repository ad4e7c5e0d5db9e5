"""Take an object of Stripe over into the mirror."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing_worker.changes.change import Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.await_mirror import await_mirror
from billing_worker.inbox.services.ingest_snapshot import ingest_snapshot
from billing_worker.inbox.states import Source
from billing_worker.kernel.errors import NotFoundError
from billing_worker.stripe_gateway.errors import StripeNotFound


def import_object(door: ChangeDoor, object_type: str, object_id: str) -> Changed:
    """Read an object at Stripe and bring it through the inbox into the mirror; with a dry run only read it.

    Phases: call; snapshot stored, commit; its lane drained. Idempotent by: an older snapshot never overwrites a newer.
    Raises: NotFoundError; StripeUnavailable, RateLimited, StripeKeyRejected, StripeRefused.
    """
    try:
        found = door.gateway.retrieve(object_type, object_id)
    except StripeNotFound as error:
        raise NotFoundError(f"Stripe has no {object_type} {object_id}: {error}") from error
    data: Mapping[str, Any] = found.data
    if door.is_dry_run:
        return Changed(object_id, data, would_call=f"GET {object_type} {object_id}")
    with door.unit_of_work.transaction() as session:
        stored = ingest_snapshot(
            session,
            account_id="",
            obj=data,
            source=Source.IMPORT,
            observed_at=found.observed_at,
            now=door.unit_of_work.now(),
        )
    return Changed(object_id, data, is_mirrored=await_mirror(door, stored.row_id))
