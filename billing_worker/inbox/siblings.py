"""What is already stored of the claimed objects: their versions, the events of a shared second, the state before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text, tuple_
from sqlalchemy.orm import Session

from billing_worker.inbox.envelope import read_body, second_event
from billing_worker.inbox.order import SecondEvent
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
    WHERE e.object_key = :key AND e.created = :second AND e.status = 'applied'
      AND e.source IN ('webhook', 'events_api', 'certify')
    ORDER BY e.id
    """
)

_BEFORE = text(
    """
    SELECT e.created, p.body
    FROM billing.billing_webhook_events e
    JOIN billing.billing_webhook_payloads p ON p.event_row_id = e.id AND p.received_at = e.received_at
    WHERE e.object_key = :key AND e.created < :second AND e.status IN ('applied', 'pending')
    ORDER BY e.created DESC, e.id DESC
    LIMIT 1
    """
)


def read_versions(
    session: Session, object_type: str, objects: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], Version]:
    """Read the versions of mirror rows by (account, id); objects without a row are absent."""
    table = table_of(object_type)
    rows = session.execute(
        select(table.c.account_id, table.c.id, table.c.version, table.c.version_row_id).where(
            tuple_(table.c.account_id, table.c.id).in_(objects)
        )
    )
    return {(account, object_id): Version(version, row_id) for account, object_id, version, row_id in rows}


def read_second(session: Session, kind: ObjectType, object_key: str, second: datetime) -> list[SecondEvent]:
    """Read the applied events of an object in one second: they are ordered anew together with late ones."""
    rows = session.execute(_SECOND, {"key": object_key, "second": second})
    return [
        second_event(row_id, event_id, event_type, kind, read_body(kind, bytes(body)))
        for row_id, event_id, event_type, body in rows
    ]


def read_state_before(
    session: Session, kind: ObjectType, object_key: str, second: datetime
) -> Mapping[str, Any] | None:
    """Read the object's state before a second, the known start of a chain; None where it is not known.

    A second before with several events proves nothing by itself, so its last one counts only if it stands alone.
    """
    row = session.execute(_BEFORE, {"key": object_key, "second": second}).one_or_none()
    if row is None:
        return None
    created, body = row
    if len(read_second(session, kind, object_key, created)) > 1:
        return None
    try:
        return read_body(kind, bytes(body))[0]
    except ShapeError:
        return None
