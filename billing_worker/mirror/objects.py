"""Reading mirrored objects one by one and as lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.orm import Session

from billing_worker.kernel.errors import NotFoundError
from billing_worker.mirror.tables import table_of

IMPORTS = {"customer": "nself billing customer import {id}", "subscription": "nself billing subscription import {id}"}
"""What brings a missing object of a type here; others come with `sync`."""


@dataclass(frozen=True, slots=True)
class MirroredObject:
    """One object as the mirror has it."""

    object_type: str
    id: str
    data: Mapping[str, Any]
    version: datetime
    synced_at: datetime
    deleted_at: datetime | None


class NotMirroredError(NotFoundError):
    """The mirror has no such object."""


def find_object(session: Session, object_type: str, object_id: str, *, account_id: str = "") -> MirroredObject | None:
    """Return one object."""
    table = table_of(object_type)
    found = _select(session, object_type, table.c.account_id == account_id, table.c.id == object_id)
    return found[0] if found else None


def get_object(session: Session, object_type: str, object_id: str, *, account_id: str = "") -> MirroredObject:
    """Return one object.

    Raises: NotMirroredError with the command that looks for it at Stripe.
    """
    found = find_object(session, object_type, object_id, account_id=account_id)
    if found is None:
        bring = IMPORTS.get(object_type, "nself billing reconcile --type " + object_type).format(id=object_id)
        raise NotMirroredError(
            f"no {object_type.replace('_', ' ')} {object_id} here; if Stripe has it, `{bring}` brings it"
        )
    return found


def list_objects(
    session: Session,
    object_type: str,
    *,
    where: Mapping[str, object] | None = None,
    limit: int = 50,
    account_id: str = "",
    with_deleted: bool = False,
) -> Sequence[MirroredObject]:
    """Return objects whose promoted columns have given values, newest change first."""
    table = table_of(object_type)
    conditions = [table.c.account_id == account_id]
    conditions += [table.c[name] == value for name, value in (where or {}).items()]
    if not with_deleted:
        conditions.append(table.c.deleted_at.is_(None))
    return _select(session, object_type, *conditions, limit=limit)


def _select(
    session: Session, object_type: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[MirroredObject]:
    table: Table = table_of(object_type)
    columns = (table.c.id, table.c.data, table.c.version, table.c.synced_at, table.c.deleted_at)
    query = select(*columns).where(*conditions).order_by(table.c.version.desc(), table.c.id).limit(limit)
    return [MirroredObject(object_type, *row) for row in session.execute(query)]
