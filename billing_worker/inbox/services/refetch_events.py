"""Fetch events from Stripe whose bodies are pruned, or that never came."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from psycopg2.extensions import connection as psycopg2_connection
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.certificates import list_erased_customers
from billing_worker.inbox.intake import read_delivery
from billing_worker.inbox.services.store_deliveries import store_deliveries
from billing_worker.inbox.states import Source
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.errors import StripeNotFound


class Retrieving(Protocol):
    """The one call this service makes of the gateway."""

    def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
        """Read one event at Stripe."""
        ...


@dataclass
class Refetched:
    """What came of asking.

    Shape: `stored` events were unknown here and are pending now, `restored` ones have their body again; `gone` are
    older than the 30 days Stripe keeps them, `erased` belong to customers who must not come back.
    """

    stored: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    lanes: set[int] = field(default_factory=set)


_ROW = text(
    "SELECT id, received_at FROM billing.billing_webhook_events WHERE account_id = :account AND event_id = :event"
)

_RESTORE = text(
    "INSERT INTO billing.billing_webhook_payloads (event_row_id, received_at, body) VALUES (:id, :received_at, :body) "
    "ON CONFLICT DO NOTHING"
)


def refetch_events(
    unit_of_work: UnitOfWork, gateway: Retrieving, wanted: Sequence[tuple[str, str]], *, livemode: bool
) -> Refetched:
    """Ask Stripe for events, given by account and event id, and keep what it still has.

    Phases: per event the call; then one transaction. Who is interrupted calls it again.
    Idempotent by: account and event id.
    Raises: StripeUnavailable, RateLimited, StripeKeyRejected, StripeRefused; what was fetched before stays.
    """
    report = Refetched()
    for account_id, event_id in wanted:
        try:
            event = gateway.retrieve("event", event_id, account_id=account_id).data
        except StripeNotFound:
            report.gone.append(event_id)
            continue
        if account_id:
            event = {"account": account_id, **event}
        with unit_of_work.transaction() as session:
            _keep(session, unit_of_work, account_id, event, report, livemode=livemode)
    return report


def _keep(
    session: Session,
    unit_of_work: UnitOfWork,
    account_id: str,
    event: dict[str, Any],
    report: Refetched,
    *,
    livemode: bool,
) -> None:
    body = json.dumps(event, separators=(",", ":")).encode()
    delivery = read_delivery(body, livemode=livemode, source=Source.EVENTS_API)
    if delivery.customer_id is not None and list_erased_customers(session, [delivery.customer_id]):
        report.erased.append(delivery.event_id)
        return
    row = session.execute(_ROW, {"account": account_id, "event": delivery.event_id}).one_or_none()
    if row is not None:
        session.execute(_RESTORE, {"id": row.id, "received_at": row.received_at, "body": body})
        report.restored.append(delivery.event_id)
        return
    driver = cast("psycopg2_connection", session.connection().connection.driver_connection)
    with driver.cursor() as cursor:
        stored = store_deliveries(cursor, [delivery], now=unit_of_work.now())
    report.stored.append(delivery.event_id)
    report.lanes |= {one.lane for one in stored.values()}
