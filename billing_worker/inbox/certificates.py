"""Certificates that no event was lost: what they say, and the statements on them and on what they compare."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, cast

from psycopg2.extensions import connection as psycopg2_connection
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.inbox.intake import Delivery
from billing_worker.inbox.services.store_deliveries import store_deliveries
from billing_worker.stripe_gateway.client import Page, Retrieved

MISSING_SHOWN = 1000
"""How many missing event ids a certificate names; it counts all of them."""

_COUNTS = {"enabled": "counts", "other": "other", "statuses": "statuses", "missing": "missing_by_type"}


class Listing(Protocol):
    """What this service asks of the gateway."""

    def read(self, path: str) -> Retrieved:
        """Read a single thing: the account, whose answer carries Stripe's clock."""
        ...

    def list_page(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        starting_after: str | None = None,
        account_id: str = "",
    ) -> Page:
        """Read one page of a list, newest first."""
        ...


@dataclass
class Certificate:
    """What a certificate says.

    Shape: `counts` of Stripe's events by type; `other` those of types that no endpoint of ours is subscribed to;
    `statuses` what had become of the counted ones that were here; `missing` event ids, healed or (for erased customers)
    left out on purpose. `counts` = `statuses` + `missing`, always.
    """

    window_start: datetime
    window_end: datetime
    account_id: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    missing_by_type: Counter[str] = field(default_factory=Counter)
    erased: int = 0
    healed: int = 0


@dataclass(frozen=True)
class StoredCertificate:
    """One certificate as it was issued."""

    id: int
    account_id: str
    window_start: datetime
    window_end: datetime
    events: int
    statuses: Mapping[str, int]
    missing: int
    healed: int
    issued_at: datetime


def find_certified_until(session: Session, account_id: str) -> datetime | None:
    """Return the end of an account's newest certified window."""
    statement = text("SELECT max(window_end) FROM billing.billing_webhook_certificates WHERE account_id = :account")
    return cast("datetime | None", session.execute(statement, {"account": account_id}).scalar_one())


def list_certificates(session: Session, *, limit: int) -> list[StoredCertificate]:
    """Return certificates, newest first."""
    rows = session.execute(
        text(
            "SELECT id, account_id, window_start, window_end, coalesce(counts->'statuses', '{}') AS statuses, "
            "(SELECT coalesce(sum(value::bigint), 0) FROM jsonb_each_text(counts->'enabled'))::bigint AS events, "
            "coalesce((SELECT sum(value::bigint) FROM jsonb_each_text(counts->'missing'))::bigint, "
            "jsonb_array_length(missing)) AS missing, healed, issued_at "
            "FROM billing.billing_webhook_certificates ORDER BY id DESC LIMIT :limit"
        ),
        {"limit": limit},
    )
    return [StoredCertificate(**row) for row in rows.mappings()]


def read_statuses(session: Session, event_ids: Sequence[str]) -> dict[str, str]:
    """Return the status of those event ids that have a row, under whatever account: Stripe's ids are unique."""
    statement = text(
        "SELECT DISTINCT ON (event_id) event_id, status FROM billing.billing_webhook_events "
        "WHERE event_id = ANY(:ids) ORDER BY event_id, id"
    )
    rows = session.execute(statement, {"ids": list(event_ids)})
    return {event_id: status for event_id, status in rows}  # noqa: C416 - dict() is untyped


def list_erased_customers(session: Session, customer_ids: Sequence[str]) -> set[str]:
    """Return which of some customers were erased: their events must not come back."""
    statement = text("SELECT customer_id FROM billing.billing_erasures WHERE customer_id = ANY(:ids)")
    return set(session.execute(statement, {"ids": list(customer_ids)}).scalars())


def store_missing(session: Session, deliveries: Sequence[Delivery], now: datetime) -> set[int]:
    """Store events that never arrived and return the lanes to wake."""
    driver = cast("psycopg2_connection", session.connection().connection.driver_connection)
    with driver.cursor() as cursor:
        return {stored.lane for stored in store_deliveries(cursor, deliveries, now=now).values()}


def insert_certificate(session: Session, certificate: Certificate, *, now: datetime) -> None:
    """Write a certificate; rows are never changed afterwards."""
    counts = {name: dict(getattr(certificate, field)) for name, field in _COUNTS.items()}
    session.execute(
        text(
            "INSERT INTO billing.billing_webhook_certificates "
            "(account_id, window_start, window_end, counts, missing, healed, issued_at) "
            "VALUES (:account_id, :window_start, :window_end, CAST(:counts AS jsonb), CAST(:missing AS jsonb), "
            ":healed, :now)"
        ),
        {
            "account_id": certificate.account_id,
            "window_start": certificate.window_start,
            "window_end": certificate.window_end,
            "counts": json.dumps(counts),
            "missing": json.dumps(certificate.missing[:MISSING_SHOWN]),
            "healed": certificate.healed,
            "now": now,
        },
    )
