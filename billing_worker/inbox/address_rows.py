"""Stripe's addresses as rows: the list in force, one that waits for an operator, and those before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.inbox.addresses import AddressList


@dataclass(frozen=True, slots=True)
class AddressRow:
    """One list; `added` and `removed` against the one in force when it was fetched."""

    id: int
    networks: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    fetched_at: datetime
    checked_at: datetime
    status: str


def find_addresses(session: Session, status: str) -> AddressRow | None:
    """Find the list in force (`active`) or the one that waits (`proposed`)."""
    row = session.execute(
        text(
            "SELECT id, networks, added, removed, fetched_at, checked_at, status "
            "FROM billing.billing_stripe_addresses WHERE status = :status"
        ),
        {"status": status},
    ).one_or_none()
    if row is None:
        return None
    return AddressRow(
        row.id, tuple(row.networks), tuple(row.added), tuple(row.removed), row.fetched_at, row.checked_at, row.status
    )


def retire_addresses(session: Session, statuses: Sequence[str]) -> None:
    """Take lists out of force."""
    session.execute(
        text("UPDATE billing.billing_stripe_addresses SET status = 'retired' WHERE status = ANY(:statuses)"),
        {"statuses": list(statuses)},
    )


def touch_addresses(session: Session, now: datetime) -> None:
    """Note that the list in force was seen at Stripe again."""
    session.execute(
        text("UPDATE billing.billing_stripe_addresses SET checked_at = :now WHERE status = 'active'"), {"now": now}
    )


def insert_addresses(
    session: Session,
    addresses: AddressList,
    *,
    added: Sequence[str],
    removed: Sequence[str],
    source: str,
    status: str,
    now: datetime,
) -> None:
    """Keep a list."""
    session.execute(
        text(
            "INSERT INTO billing.billing_stripe_addresses (networks, added, removed, source, fetched_at, checked_at, "
            "status) VALUES (:networks, :added, :removed, :source, :now, :now, :status)"
        ),
        {
            "networks": list(addresses.networks),
            "added": list(added),
            "removed": list(removed),
            "source": source,
            "status": status,
            "now": now,
        },
    )
