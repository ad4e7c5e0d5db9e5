"""Rotations of the signing secret as rows: where the drill stands, whoever takes it up again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.orm import Session


class RotationState(StrEnum):
    """How far a rotation is.

    Shape: planned → watching → retiring → done; planned and watching → aborted.
    """

    PLANNED = "planned"
    WATCHING = "watching"
    RETIRING = "retiring"
    DONE = "done"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Rotation:
    """One rotation.

    Shape: endpoint ids are empty when the secret was rolled in Stripe's Dashboard, where the endpoint stays.
    """

    id: int
    state: RotationState
    url: str
    old_endpoint_id: str
    new_endpoint_id: str
    old_fingerprint: str
    new_fingerprint: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class SecretCount:
    """How much one secret was used."""

    deliveries: int
    first_used_at: datetime
    last_used_at: datetime


_COLUMNS = "id, state, url, old_endpoint_id, new_endpoint_id, old_fingerprint, new_fingerprint, started_at"


def find_open_rotation(session: Session) -> Rotation | None:
    """Find the rotation under way; there is one at most."""
    row = session.execute(
        text(
            f"SELECT {_COLUMNS} FROM billing.billing_secret_rotations "  # noqa: S608 - a constant
            "WHERE state IN ('planned', 'watching', 'retiring') FOR UPDATE"
        )
    ).one_or_none()
    return None if row is None else _read(row)


def insert_rotation(
    session: Session, *, url: str, old_endpoint_id: str, old_fingerprint: str, now: datetime
) -> Rotation:
    """Begin a rotation."""
    row = session.execute(
        text(
            "INSERT INTO billing.billing_secret_rotations "  # noqa: S608 - a constant
            "(state, url, old_endpoint_id, old_fingerprint, started_at, "
            f"changed_at) VALUES ('planned', :url, :endpoint, :fingerprint, :now, :now) RETURNING {_COLUMNS}"
        ),
        {"url": url, "endpoint": old_endpoint_id, "fingerprint": old_fingerprint, "now": now},
    ).one()
    return _read(row)


def advance_rotation(
    session: Session,
    rotation: Rotation,
    state: RotationState,
    now: datetime,
    *,
    new_endpoint_id: str | None = None,
    new_fingerprint: str | None = None,
) -> Rotation:
    """Move a rotation on."""
    row = session.execute(
        text(
            "UPDATE billing.billing_secret_rotations SET state = :state, changed_at = :now, "  # noqa: S608 - a constant
            "new_endpoint_id = coalesce(:endpoint, new_endpoint_id), "
            f"new_fingerprint = coalesce(:fingerprint, new_fingerprint) WHERE id = :id RETURNING {_COLUMNS}"
        ),
        {
            "id": rotation.id,
            "state": state.value,
            "now": now,
            "endpoint": new_endpoint_id,
            "fingerprint": new_fingerprint,
        },
    ).one()
    return _read(row)


def read_counts(session: Session, fingerprints: Sequence[str]) -> Mapping[str, SecretCount]:
    """Read how much each of these secrets was used; one that never was is absent."""
    rows = session.execute(
        text(
            "SELECT fingerprint, deliveries, first_used_at, last_used_at FROM billing.billing_webhook_secrets "
            "WHERE fingerprint = ANY(:fingerprints)"
        ),
        {"fingerprints": list(fingerprints)},
    )
    return {row[0]: SecretCount(*row[1:]) for row in rows}


def _read(row: Sequence[object]) -> Rotation:
    values = list(row)
    return Rotation(values[0], RotationState(str(values[1])), *values[2:])  # type: ignore[arg-type]  # columns in order
