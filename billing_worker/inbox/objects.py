"""From an id as an operator types it to the object it names: its key, its type, its row in the mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing_worker.kernel.errors import NotFoundError, RefusedError
from billing_worker.kernel.keys import object_key, split_object_key
from billing_worker.mirror.registry import REGISTRY, ObjectType
from billing_worker.mirror.tables import table_of

# One step of the index per account instead of one per row.
_ACCOUNTS = text(
    """
    WITH RECURSIVE known AS (
        SELECT min(account_id) AS account_id FROM billing.billing_webhook_events
        UNION ALL
        SELECT (SELECT min(account_id) FROM billing.billing_webhook_events WHERE account_id > known.account_id)
        FROM known WHERE known.account_id IS NOT NULL
    )
    SELECT account_id FROM known WHERE account_id IS NOT NULL
    """
)

_STORED = text(
    "SELECT DISTINCT object_key FROM billing.billing_webhook_events WHERE object_key = ANY(:keys) ORDER BY 1"
)


class NotMirroredError(RefusedError):
    """Objects of this type are not mirrored, so their events need no order and have no state."""


class SeveralObjectsError(RefusedError):
    """An id names objects in several accounts."""


@dataclass(frozen=True, slots=True)
class MirroredObject:
    """An object as its row in the mirror shows it."""

    data: Mapping[str, Any]
    promoted: Mapping[str, Any]
    version: datetime
    event_id: str
    order_unproven: bool
    deleted: bool


def list_accounts(session: Session) -> Sequence[str]:
    """Return the accounts that events are stored of; '' is the platform's own."""
    return session.execute(_ACCOUNTS).scalars().all()


def possible_keys(session: Session, object_id: str) -> list[str]:
    """Return every key an id could have: by account and mirrored type, so that the index on keys serves."""
    return [object_key(account, kind, object_id) for account in list_accounts(session) for kind in REGISTRY]


def get_object_key(session: Session, object_id: str, *, account_id: str | None = None) -> str:
    """Find the one object that an id names.

    Raises: NotFoundError; SeveralObjectsError when only the account tells them apart.
    """
    stored: Sequence[str] = session.execute(_STORED, {"keys": possible_keys(session, object_id)}).scalars().all()
    keys = [key for key in stored if account_id is None or split_object_key(key)[0] == account_id]
    if not keys:
        raise NotFoundError(
            f"no event about {object_id} is stored that the mirror follows; `nself billing webhook events "
            f"--object {object_id}` lists what is"
        )
    if len(keys) > 1:
        accounts = ", ".join(split_object_key(key)[0] or "the platform's own" for key in keys)
        raise SeveralObjectsError(f"{object_id} exists in several accounts ({accounts}): add --account")
    return keys[0]


def mirrored_type(key: str) -> ObjectType:
    """Return the type of an object.

    Raises: NotMirroredError.
    """
    name = split_object_key(key)[1]
    if name not in REGISTRY:
        raise NotMirroredError(f"objects of type {name} are not mirrored: their events are kept and need no order")
    return REGISTRY[name]


def find_mirrored(session: Session, key: str) -> MirroredObject | None:
    """Read an object's row in the mirror."""
    account_id, name, object_id = split_object_key(key)
    table = table_of(name)
    found = session.execute(select(table).where(table.c.account_id == account_id, table.c.id == object_id)).mappings()
    row = found.one_or_none()
    if row is None:
        return None
    return MirroredObject(
        data=row["data"],
        promoted={column: row[column] for column in REGISTRY[name].columns},
        version=row["version"],
        event_id=row["version_event_id"],
        order_unproven=row["order_unproven"],
        deleted=row["deleted_at"] is not None,
    )
