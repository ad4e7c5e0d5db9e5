"""Ask Stripe for the objects whose order nothing proves, and put the answers into the inbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.batch import ARRIVAL_ORDER
from billing_worker.inbox.retrieving import Retrieving
from billing_worker.inbox.services.fetch_thin_event import fetch_thin_event
from billing_worker.inbox.services.ingest_snapshot import ingest_snapshot
from billing_worker.inbox.states import Source
from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.kernel.keys import lane_of, split_object_key
from billing_worker.mirror.keys import THIN_EVENT
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.errors import StripeKeyRejected

BATCH = 50
MAX_ATTEMPTS = 8
"""After the eighth vain question arrival order stands in, marked unproven; reconciliation heals it later."""

_FIRST_BACKOFF = timedelta(seconds=2)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ParkedForFetch:
    """One object that waits for an answer of Stripe's."""

    object_key: str
    attempts: int
    second: datetime | None


_CLAIM = text(
    """
    SELECT k.object_key, k.attempts,
           (SELECT max(e.created) FROM billing.billing_webhook_events e
            WHERE e.object_key = k.object_key AND e.status = 'pending')
    FROM billing.billing_parked_objects k
    WHERE k.waits_for = 'fetch' AND k.parked_until <= :now
    ORDER BY k.object_key
    LIMIT :size
    """
)

_UNPARK = text("DELETE FROM billing.billing_parked_objects WHERE object_key = :key")

_LATER = text(
    "UPDATE billing.billing_parked_objects SET attempts = attempts + 1, parked_until = :until, detail = :detail "
    "WHERE object_key = :key"
)

_BY_ARRIVAL = text(
    "UPDATE billing.billing_parked_objects SET waits_for = 'backoff', parked_until = :now, reason = :reason, "
    "detail = :detail WHERE object_key = :key"
)


def fetch_parked(unit_of_work: UnitOfWork, gateway: Retrieving, *, wake: Callable[[int], bool]) -> int:
    """Fetch every parked object that is due and return how many were asked for.

    Phases: claim; one call per object, with no transaction open; one transaction per answer.
    Idempotent by: the snapshot's key; two fetches of one object store two snapshots, the newer wins.
    """
    asked = 0
    while True:
        with unit_of_work.transaction() as session:
            rows = session.execute(_CLAIM, {"now": unit_of_work.now(), "size": BATCH})
            parked = [ParkedForFetch(key, attempts, second) for key, attempts, second in rows]
        for one in parked:
            for lane in {lane_of(one.object_key), *_fetch(unit_of_work, gateway, one)}:
                wake(lane)
        asked += len(parked)
        if len(parked) < BATCH:
            return asked


def _fetch(unit_of_work: UnitOfWork, gateway: Retrieving, parked: ParkedForFetch) -> tuple[int, ...]:
    """Fetch one and return the lanes of other objects that got something on the way."""
    account_id, object_type, object_id = split_object_key(parked.object_key)
    lanes: tuple[int, ...] = ()
    try:
        if object_type == THIN_EVENT:
            lanes = fetch_thin_event(unit_of_work, gateway, account_id=account_id, event_id=object_id)
            with unit_of_work.transaction() as session:
                session.execute(_UNPARK, {"key": parked.object_key})
        else:
            _store_answer(unit_of_work, parked, gateway.retrieve(object_type, object_id, account_id=account_id))
    except (RetryableError, StripeKeyRejected) as error:
        # A rejected key says nothing about the object: an operator mends the key, arrival order would be a guess.
        with unit_of_work.transaction() as session:
            _try_later(session, parked, unit_of_work.now(), str(error))
    except TerminalError as error:
        with unit_of_work.transaction() as session:
            _settle_by_arrival(session, parked, unit_of_work.now(), str(error))
    return lanes


def _store_answer(unit_of_work: UnitOfWork, parked: ParkedForFetch, answer: Retrieved) -> None:
    with unit_of_work.transaction() as session:
        now = unit_of_work.now()
        if answer.data.get("deleted") is True:
            # Only a stub is left at Stripe. The deletion's own event holds the last full state and ends every second.
            _settle_by_arrival(session, parked, now, "deleted at Stripe")
            return
        if parked.second is not None and answer.observed_at <= parked.second:
            # Stripe's clock has not passed the second yet: this answer could miss an event of it.
            _try_later(session, parked, now, "too early")
            return
        ingest_snapshot(
            session,
            account_id=split_object_key(parked.object_key)[0],
            obj=answer.data,
            source=Source.FETCH,
            observed_at=answer.observed_at,
            now=now,
        )
        session.execute(_UNPARK, {"key": parked.object_key})


def _try_later(session: Session, parked: ParkedForFetch, now: datetime, detail: str) -> None:
    if parked.attempts >= MAX_ATTEMPTS:
        _settle_by_arrival(session, parked, now, detail)
        return
    until = now + _FIRST_BACKOFF * (1 << (parked.attempts - 1))
    session.execute(_LATER, {"key": parked.object_key, "until": until, "detail": detail[:500]})


def _settle_by_arrival(session: Session, parked: ParkedForFetch, now: datetime, detail: str) -> None:
    _log.warning("order_unproven", object_key=parked.object_key, detail=detail)
    session.execute(
        _BY_ARRIVAL, {"key": parked.object_key, "now": now, "reason": ARRIVAL_ORDER, "detail": detail[:500]}
    )
