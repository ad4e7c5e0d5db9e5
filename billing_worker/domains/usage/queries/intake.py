"""SQL of taking records in: ids, idempotency keys, batches, records, adjustments, held records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, cast

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.copy import copy_rows, copy_text
from billing_worker.database.locks import LockClass, share_lock

_USAGE_COLUMNS = (
    "id",
    "batch_id",
    "user_id",
    "metric_type",
    "value",
    "unique_key",
    "created_at",
    "recorded_at",
    "idempotency_key",
)
_HELD_COLUMNS = (
    "batch_id",
    "user_id",
    "metric_type",
    "value",
    "unique_key",
    "created_at",
    "recorded_at",
    "idempotency_key",
    "source",
    "reason",
    "detail",
)
_ADJUSTMENT_COLUMNS = (
    "user_id",
    "metric_type",
    "period_start",
    "period_end",
    "value",
    "batch_id",
    "reason",
    "adjusted_at",
    "usage_at",
    "unique_key",
    "idempotency_key",
)


class Numbers(NamedTuple):
    """The ids of a call: its batch's and its records'."""

    batch_id: int
    record_ids: Sequence[str]


class FrozenPeriod(NamedTuple):
    """A closed period that a late record falls into."""

    start: datetime
    end: datetime


class Question(NamedTuple):
    """Whether a record's time lies in a frozen period."""

    user_id: str
    metric_type: str
    used_at: datetime


def allocate_numbers(session: Session, count: int) -> Numbers:
    """Take ids before anything is written, so that keys, rows and the log tell the same ones.

    Locks: shared with other calls, against whoever freezes a period, until the end of the transaction.
    """
    share_lock(session, LockClass.USAGE_FREEZE, 0)
    statement = text(
        "SELECT nextval('billing.billing_usage_batches_id_seq'), "
        "(SELECT CAST(array_agg(nextval('billing.billing_usage_id_seq')) AS text) FROM generate_series(1, :count))"
    )
    batch_id, ids = session.execute(statement, {"count": count}).one()
    return Numbers(batch_id, ids[1:-1].split(",") if ids else ())


def claim_digests(session: Session, claims: Mapping[str, str], *, batch_id: int, now: datetime) -> dict[str, str]:
    """Insert keys (digest → payload hash) and return those that were there before, with what they were used for.

    Locks: in the order of digests; a key that another transaction is just writing is waited for.
    Shape: arrays go as one literal each; a list of ten thousand parameters costs more than the insert.
    """
    if not claims:
        return {}
    digests = sorted(claims)
    given = "{" + ",".join(digests) + "}"
    hashes = "{" + ",".join([claims[digest] for digest in digests]) + "}"
    insert = text(
        "INSERT INTO billing.billing_usage_claims (digest, payload_hash, batch_id, first_seen_at) "
        "SELECT k.digest, k.hash, :batch_id, :now "
        "FROM unnest(CAST(:digests AS uuid[]), CAST(:hashes AS uuid[])) AS k (digest, hash) "
        "ON CONFLICT (digest) DO NOTHING"
    )
    parameters = {"batch_id": batch_id, "now": now, "digests": given, "hashes": hashes}
    inserted = session.connection().execute(insert, parameters).rowcount
    if inserted == len(digests):
        return {}
    find = text(
        "SELECT CAST(digest AS text), CAST(payload_hash AS text) FROM billing.billing_usage_claims "
        "WHERE digest = ANY(CAST(:digests AS uuid[])) AND batch_id <> :batch_id"
    )
    rows = session.execute(find, {"digests": given, "batch_id": batch_id})
    return {digest.replace("-", ""): payload.replace("-", "") for digest, payload in rows}


def find_newest_frozen_end(session: Session) -> datetime | None:
    """Return the moment from which on no period was ever frozen."""
    statement = text("SELECT max(period_end) FROM billing.billing_usage_periods")
    return cast("datetime | None", session.execute(statement).scalar_one())


def find_frozen_periods(session: Session, questions: Mapping[int, Question]) -> dict[int, FrozenPeriod]:
    """Return the frozen periods that records fall into, by the records' positions."""
    if not questions:
        return {}
    statement = text(
        "SELECT DISTINCT ON (q.index) q.index, p.period_start, p.period_end "
        "FROM unnest(CAST(:indexes AS bigint[]), CAST(:users AS text[]), CAST(:metrics AS text[]), "
        "    CAST(:times AS timestamptz[])) AS q (index, user_id, metric_type, used_at) "
        "JOIN billing.billing_usage_periods p ON p.user_id = q.user_id AND p.metric_type = q.metric_type "
        "    AND p.period_start <= q.used_at AND p.period_end > q.used_at "
        "ORDER BY q.index, p.period_end"
    )
    parameters = {
        "indexes": list(questions),
        "users": [one.user_id for one in questions.values()],
        "metrics": [one.metric_type for one in questions.values()],
        "times": [one.used_at for one in questions.values()],
    }
    return {index: FrozenPeriod(start, end) for index, start, end in session.execute(statement, parameters)}


def insert_batch(
    session: Session,
    *,
    batch_id: int,
    source: str,
    record_count: int,
    first_at: datetime,
    last_at: datetime,
    now: datetime,
) -> None:
    """Open a batch under an id that was allocated before."""
    statement = text(
        "INSERT INTO billing.billing_usage_batches (id, source, record_count, first_at, last_at, accepted_at) "
        "OVERRIDING SYSTEM VALUE VALUES (:batch_id, :source, :record_count, :first_at, :last_at, :now)"
    )
    session.execute(
        statement,
        {
            "batch_id": batch_id,
            "source": source,
            "record_count": record_count,
            "first_at": first_at,
            "last_at": last_at,
            "now": now,
        },
    )


def copy_usage(session: Session, lines: str) -> None:
    """Write records: id, batch, user, metric, value, unique key, time of use, time of record, key, with tabs."""
    copy_text(session, "billing_usage", _USAGE_COLUMNS, lines)


def insert_held(session: Session, rows: Sequence[Sequence[object]]) -> None:
    """Keep records that do not count yet."""
    copy_rows(session, "billing_usage_held", _HELD_COLUMNS, rows)


def insert_adjustments(session: Session, rows: Sequence[Sequence[object]]) -> None:
    """Keep late records of frozen periods."""
    copy_rows(session, "billing_usage_adjustments", _ADJUSTMENT_COLUMNS, rows)
