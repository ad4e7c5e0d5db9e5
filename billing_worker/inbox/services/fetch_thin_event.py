"""Fetch what a thin event names: the event's own content, and the object it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.retrieving import Retrieving
from billing_worker.inbox.services.ingest_snapshot import ingest_snapshot
from billing_worker.inbox.states import Source
from billing_worker.kernel.errors import TerminalError
from billing_worker.mirror.keys import THIN_EVENT
from billing_worker.mirror.registry import REGISTRY
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.errors import StripeKeyRejected, StripeNotFound

_log = structlog.get_logger(__name__)


def fetch_thin_event(
    unit_of_work: UnitOfWork, gateway: Retrieving, *, account_id: str, event_id: str
) -> tuple[int, ...]:
    """Store both as snapshots, in one transaction, and return the lanes to wake.

    Phases: two calls, with no transaction open; one transaction.
    Idempotent by: the snapshots' keys.
    Raises: StripeNotFound when the event is gone; what can be tried later.
    """
    content = gateway.retrieve(THIN_EVENT, event_id, account_id=account_id)
    related = _fetch_related(gateway, content.data, account_id)
    with unit_of_work.transaction() as session:
        now = unit_of_work.now()
        stored = [
            ingest_snapshot(
                session,
                account_id=account_id,
                obj=one.data,
                source=Source.FETCH,
                observed_at=one.observed_at,
                now=now,
            )
            for one in (content, related)
            if one is not None
        ]
    return tuple(row.lane for row in stored)


def _fetch_related(gateway: Retrieving, event: Mapping[str, Any], account_id: str) -> Retrieved | None:
    related = event.get("related_object")
    if not isinstance(related, Mapping) or related.get("type") not in REGISTRY:
        return None
    try:
        found = gateway.retrieve(str(related["type"]), str(related.get("id", "")), account_id=account_id)
    except StripeKeyRejected:
        raise
    except TerminalError as error:
        # The fact stands without it: an object that is gone, or of a type that cannot be read alone.
        level = _log.info if isinstance(error, StripeNotFound) else _log.warning
        level("related_object_unread", event_id=event.get("id"), type=related.get("type"), error=str(error))
        return None
    # A deleted object's stub is no state; its own event tells.
    return None if found.data.get("deleted") is True else found
