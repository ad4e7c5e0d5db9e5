"""The mirror's tables for SQLAlchemy, built from the registry so that a column is named once."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from billing_worker.mirror.registry import REGISTRY, ObjectType

metadata = MetaData(schema="billing")

_INSTANTS = frozenset({"frozen_time", "trial_end", "billing_cycle_anchor", "next_payment_attempt"})
_FLAGS = frozenset(
    {
        *("delinquent", "active", "valid", "paid", "refunded", "disputed"),
        *("cancel_at_period_end", "auto_advance", "open", "actionable"),
    }
)


def column_type(name: str) -> type[BigInteger | Boolean | DateTime | Integer | Text]:
    """Tell a promoted column's type from its name (STYLE: units in names)."""
    if name in _INSTANTS or name.endswith("_at") or name.startswith("current_period_"):
        return DateTime
    if name in _FLAGS:
        return Boolean
    if name == "attempt_count":
        return Integer
    return BigInteger if name.endswith("_minor") or name == "quantity" else Text


def _build(entry: ObjectType) -> Table:
    promoted = (
        Column(name, DateTime(timezone=True) if column_type(name) is DateTime else column_type(name)())
        for name in entry.columns
    )
    return Table(
        f"billing_{entry.table}",
        metadata,
        Column("account_id", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("data", JSONB, nullable=False),
        Column("version", DateTime(timezone=True), nullable=False),
        Column("version_row_id", BigInteger, nullable=False),
        Column("version_event_id", Text, nullable=False),
        Column("order_unproven", Boolean, nullable=False),
        Column("deleted_at", DateTime(timezone=True)),
        Column("synced_at", DateTime(timezone=True), nullable=False),
        *promoted,
    )


_TABLES = {name: _build(entry) for name, entry in REGISTRY.items()}


def table_of(object_type: str) -> Table:
    """Return the table of a mirrored type (KeyError for a type that is not mirrored)."""
    return _TABLES[object_type]
