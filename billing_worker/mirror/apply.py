"""Write folded snapshots into the mirror: one multi-row statement per type. The drain is the only caller."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Integer, TextClause, text
from sqlalchemy.orm import Session

from billing_worker.database.arrays import array_literal
from billing_worker.mirror.registry import REGISTRY
from billing_worker.mirror.tables import column_type

_SQL_TYPES = {BigInteger: "bigint", Boolean: "boolean", DateTime: "timestamptz", Integer: "integer"}
_FIXED = {
    "account_id": "text",
    "id": "text",
    "data": "text",
    "version": "timestamptz",
    "version_row_id": "bigint",
    "version_event_id": "text",
    "order_unproven": "boolean",
    "deleted_at": "timestamptz",
    "body_at": "timestamptz",
}

_DATA = "coalesce(CAST(incoming.data AS jsonb), CAST(convert_from(body.body, 'UTF8') AS jsonb) #> '{data,object}')"


@dataclass(frozen=True)
class MirrorRow:
    """The newest snapshot of one object, ready to be stored.

    Shape: `promoted` has exactly the registry's columns; `version` is the `created` of the event it came from.
    `body_at` is set where `data` is what the body of `version_row_id`, received then, holds in data.object: PostgreSQL
    then takes it from there, and it is not sent.
    """

    account_id: str
    object_id: str
    data: Mapping[str, Any]
    promoted: Mapping[str, Any]
    version: datetime
    version_row_id: int
    version_event_id: str
    order_unproven: bool
    deleted_at: datetime | None
    body_at: datetime | None = None

    def values(self) -> dict[str, Any]:
        """Return the row by column name."""
        return {
            "account_id": self.account_id,
            "id": self.object_id,
            "data": json.dumps(self.data, separators=(",", ":")) if self.body_at is None else None,
            "version": self.version,
            "version_row_id": self.version_row_id,
            "version_event_id": self.version_event_id,
            "order_unproven": self.order_unproven,
            "deleted_at": self.deleted_at,
            "body_at": self.body_at,
            **self.promoted,
        }


def apply_rows(session: Session, object_type: str, rows: Sequence[MirrorRow], now: datetime) -> None:
    """Upsert the newest rows of one type.

    Order: by primary key, so that two lanes never wait for each other in a circle.
    Idempotent by: account and id; a row whose version is newer than ours stays as it is.
    """
    ordered = [row.values() for row in sorted(rows, key=lambda row: (row.account_id, row.object_id))]
    columns = _columns(object_type)
    parameters: dict[str, Any] = {name: array_literal(row[name] for row in ordered) for name in columns}
    session.execute(_upsert(object_type), {**parameters, "synced_at": now})


def _columns(object_type: str) -> dict[str, str]:
    promoted = {name: _SQL_TYPES.get(column_type(name), "text") for name in REGISTRY[object_type].columns}
    return {**_FIXED, **promoted}


@cache
def _upsert(object_type: str) -> TextClause:
    table = f"billing.billing_{REGISTRY[object_type].table}"
    columns = _columns(object_type)
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
    incoming = ", ".join(f'"{name}"' for name in columns)
    stored = [name for name in columns if name != "body_at"]
    names = ", ".join(f'"{name}"' for name in stored)
    values = ", ".join(_DATA if name == "data" else f'incoming."{name}"' for name in stored)
    updates = ", ".join(f'"{name}" = excluded."{name}"' for name in stored if name not in ("account_id", "id"))
    return text(
        f"INSERT INTO {table} AS mirror ({names}, synced_at) "  # noqa: S608 - names come from the registry
        f"SELECT {values}, CAST(:synced_at AS timestamptz) FROM unnest({arrays}) AS incoming ({incoming}) "
        "LEFT JOIN billing.billing_webhook_payloads body "
        "ON body.event_row_id = incoming.version_row_id AND body.received_at = incoming.body_at "
        "ORDER BY incoming.account_id, incoming.id "
        f"ON CONFLICT (account_id, id) DO UPDATE SET {updates}, synced_at = excluded.synced_at "
        "WHERE excluded.version >= mirror.version"
    )
