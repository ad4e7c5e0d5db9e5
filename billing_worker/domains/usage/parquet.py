"""Raw records as Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = (
    "id",
    "batch_id",
    "user_id",
    "metric_type",
    "value",
    "unique_key",
    "created_at",
    "recorded_at",
    "idempotency_key",
    "corrects_id",
)
"""Of billing_usage, in the order of the file."""

_TIMES = frozenset({"created_at", "recorded_at"})
_NUMBERS = frozenset({"id", "batch_id", "value", "corrects_id"})


def _type_of(name: str) -> pa.DataType:
    if name in _NUMBERS:
        return pa.int64()
    return pa.timestamp("us", tz="UTC") if name in _TIMES else pa.string()


_SCHEMA = pa.schema([(name, _type_of(name)) for name in COLUMNS])


def write_parquet(pages: Iterable[Sequence[Sequence[object]]]) -> bytes:
    """Write pages of records as one file."""
    out = io.BytesIO()
    with pq.ParquetWriter(out, _SCHEMA, compression="zstd") as writer:
        for page in pages:
            columns = [list(column) for column in zip(*page, strict=True)]
            writer.write_table(pa.table(columns, schema=_SCHEMA))
    return out.getvalue()


def read_parquet(content: bytes) -> list[dict[str, Any]]:
    """Read every record."""
    table = pq.read_table(pa.BufferReader(content))
    return [dict(row) for row in table.to_pylist()]
