"""Send an object that a changing call returned on its way to the mirror."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing_worker.inbox.services.ingest_snapshot import ingest_snapshot
from billing_worker.inbox.states import Source


def write_through(
    session: Session, *, account_id: str, obj: Mapping[str, Any], observed_at: datetime, now: datetime
) -> int:
    """Store Stripe's answer as a snapshot in the inbox, in the caller's transaction, and return its row's id.

    Shape: the sink that intents are given (`effects.intents.SnapshotSink`).
    """
    stored = ingest_snapshot(
        session, account_id=account_id, obj=obj, source=Source.WRITE_THROUGH, observed_at=observed_at, now=now
    )
    return stored.row_id
