"""SQL of taking records in: idempotency keys and batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


def claim_keys(session: Session, *, scope: str, keys: Mapping[bytes, bytes], now: datetime) -> set[bytes]:
    """Insert idempotency keys (digest to payload hash) and return the digests that were new."""
    if not keys:
        return set()
    digests = sorted(keys)
    statement = text(
        "INSERT INTO billing.billing_usage_keys (scope, digest, payload_hash, first_seen_at) "
        "SELECT :scope, k.digest, k.hash, :now "
        "FROM unnest(CAST(:digests AS bytea[]), CAST(:hashes AS bytea[])) AS k (digest, hash) ORDER BY k.digest "
        "ON CONFLICT (scope, digest) DO NOTHING RETURNING digest"
    )
    hashes = [keys[digest] for digest in digests]
    rows = session.execute(statement, {"scope": scope, "digests": digests, "hashes": hashes, "now": now})
    return {bytes(digest) for (digest,) in rows}


def find_key_payloads(session: Session, *, scope: str, digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the payload hashes that known keys were first used with."""
    if not digests:
        return {}
    statement = text(
        "SELECT digest, payload_hash FROM billing.billing_usage_keys "
        "WHERE scope = :scope AND digest = ANY(CAST(:digests AS bytea[]))"
    )
    rows = session.execute(statement, {"scope": scope, "digests": list(digests)})
    return {bytes(digest): bytes(payload) for digest, payload in rows}


def insert_batch(
    session: Session, *, source: str, record_count: int, first_at: datetime, last_at: datetime, now: datetime
) -> int:
    """Open a batch and return its id."""
    statement = text(
        "INSERT INTO billing.billing_usage_batches (source, record_count, first_at, last_at, accepted_at) "
        "VALUES (:source, :record_count, :first_at, :last_at, :now) RETURNING id"
    )
    parameters = {"source": source, "record_count": record_count, "first_at": first_at, "last_at": last_at, "now": now}
    return int(session.execute(statement, parameters).scalar_one())
