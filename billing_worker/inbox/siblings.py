"""What is already stored of the claimed objects: their versions, the events of a shared second, the state before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from billing_worker.database.arrays import array_literal
from billing_worker.inbox.envelope import read_body, second_event
from billing_worker.inbox.order import SecondEvent, last_of_second
from billing_worker.mirror.extract import ShapeError
from billing_worker.mirror.registry import ObjectType
from billing_worker.mirror.tables import table_of


@dataclass(frozen=True, slots=True)
class Version:
    """Which event the mirror row of an object shows."""

    version: datetime
    row_id: int


_SECOND = text(
    """
    SELECT e.id, e.event_id, e.type, p.body
    FROM billing.billing_webhook_events e
    JOIN billing.billing_webhook_payloads p ON p.event_row_id = e.id AND p.received_at = e.received_at
    WHERE e.object_key = :key AND e.created = :second AND e.status = ANY(:statuses)
      AND e.source IN ('webhook', 'events_api', 'certify')
    ORDER BY e.id
    """
)

_SECOND_BEFORE = text(
    """
    SELECT max(e.created) FROM billing.billing_webhook_events e
    WHERE e.object_key = :key AND e.created < :second AND e.status IN ('applied', 'pending')
      AND e.source IN ('webhook', 'events_api', 'certify')
    """
)

MAX_SECONDS_BACK = 3
"""How many shared seconds in a row are resolved to know the state before them."""


def read_versions(
    session: Session, object_type: str, objects: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], Version]:
    """Read the versions of mirror rows by (account, id); objects without a row are absent."""
    rows = session.execute(
        _versions(object_type),
        {
            "accounts": array_literal(account_id for account_id, _ in objects),
            "ids": array_literal(object_id for _, object_id in objects),
        },
    )
    return {(account, object_id): Version(version, row_id) for account, object_id, version, row_id in rows}


@cache
def _versions(object_type: str) -> TextClause:
    return text(
        "SELECT account_id, id, version, version_row_id "  # noqa: S608 - the name comes from the registry
        "FROM unnest(CAST(:accounts AS text[]), CAST(:ids AS text[])) AS wanted (account_id, id) "
        f"JOIN billing.{table_of(object_type).name} USING (account_id, id)"
    )


def is_newer_waiting(session: Session, object_key: str, second: datetime) -> bool:
    """Say whether a newer event or snapshot of the object is stored and still to be applied."""
    statement = text(
        "SELECT EXISTS (SELECT 1 FROM billing.billing_webhook_events "
        "WHERE object_key = :key AND created > :second AND status = 'pending')"
    )
    return bool(session.execute(statement, {"key": object_key, "second": second}).scalar_one())


def read_second(session: Session, kind: ObjectType, object_key: str, second: datetime) -> list[SecondEvent]:
    """Read the applied events of an object in one second: they are ordered anew together with late ones."""
    return _read_second(session, kind, object_key, second, ["applied"])


def read_state_before(
    session: Session, kind: ObjectType, object_key: str, second: datetime, *, back: int = MAX_SECONDS_BACK
) -> Mapping[str, Any] | None:
    """Read the object's state before a second, the known start of a chain; None where it is not known.

    Events that are stored and not applied yet count as well: the state before is what the history says, not how far
    the drain has come.
    """
    before = session.execute(_SECOND_BEFORE, {"key": object_key, "second": second}).scalar_one()
    if before is None or back == 0:
        return None
    try:
        events = _read_second(session, kind, object_key, before, ["applied", "pending"])
    except ShapeError:
        return None
    if len(events) == 1:
        return events[0].snapshot
    base = read_state_before(session, kind, object_key, before, back=back - 1)
    last = last_of_second(base, events, kind.progress)
    return None if last is None else last.snapshot


def _read_second(
    session: Session, kind: ObjectType, object_key: str, second: datetime, statuses: Sequence[str]
) -> list[SecondEvent]:
    rows = session.execute(_SECOND, {"key": object_key, "second": second, "statuses": list(statuses)})
    return [
        second_event(row_id, event_id, event_type, kind, read_body(kind, bytes(body)))
        for row_id, event_id, event_type, body in rows
    ]
