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

from billing_worker.mirror.registry import REGISTRY
from billing_worker.mirror.tables import column_type

_SQL_TYPES = {BigInteger: "bigint", Boolean: "boolean", DateTime: "timestamptz", Integer: "integer"}
_FIXED = {
    "account_id": "text",
    "id": "text",
    "data": "jsonb",
    "version": "timestamptz",
    "version_row_id": "bigint",
    "version_event_id": "text",
    "order_unproven": "boolean",
    "deleted_at": "timestamptz",
}


@dataclass(frozen=True)
class MirrorRow:
    """The newest snapshot of one object, ready to be stored.

    Shape: `promoted` has exactly the registry's columns; `version` is the `created` of the event it came from.
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

    def values(self) -> dict[str, Any]:
        """Return the row by column name."""
        return {
            "account_id": self.account_id,
            "id": self.object_id,
            "data": json.dumps(self.data, separators=(",", ":")),
            "version": self.version,
            "version_row_id": self.version_row_id,
            "version_event_id": self.version_event_id,
            "order_unproven": self.order_unproven,
            "deleted_at": self.deleted_at,
            **self.promoted,
        }


def apply_rows(session: Session, object_type: str, rows: Sequence[MirrorRow], now: datetime) -> None:
    """Upsert the newest rows of one type.

    Order: by primary key, so that two lanes never wait for each other in a circle.
    Idempotent by: account and id; a row whose version is newer than ours stays as it is.
    """
    ordered = [row.values() for row in sorted(rows, key=lambda row: (row.account_id, row.object_id))]
    columns = _columns(object_type)
    parameters: dict[str, Any] = {name: [row[name] for row in ordered] for name in columns}
    session.execute(_upsert(object_type), {**parameters, "synced_at": now})


def _columns(object_type: str) -> dict[str, str]:
    promoted = {name: _SQL_TYPES.get(column_type(name), "text") for name in REGISTRY[object_type].columns}
    return {**_FIXED, **promoted}


@cache
def _upsert(object_type: str) -> TextClause:
    table = f"billing.billing_{REGISTRY[object_type].table}"
    columns = _columns(object_type)
    names = ", ".join(f'"{name}"' for name in columns)
    # jsonb arrays travel as text: the driver knows no jsonb array
    arrays = ", ".join(
        f"CAST(CAST(:{name} AS text[]) AS jsonb[])" if kind == "jsonb" else f"CAST(:{name} AS {kind}[])"
        for name, kind in columns.items()
    )
    updates = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in ("account_id", "id"))
    return text(
        f"INSERT INTO {table} AS mirror ({names}, synced_at) "  # noqa: S608 - names come from the registry
        f"SELECT incoming.*, CAST(:synced_at AS timestamptz) FROM unnest({arrays}) AS incoming "
        f"ON CONFLICT (account_id, id) DO UPDATE SET {updates}, synced_at = excluded.synced_at "
        "WHERE excluded.version >= mirror.version"
    )
