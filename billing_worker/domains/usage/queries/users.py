"""SQL over the application's own table of users, whatever the type of its id."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.orm import Session

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_TYPED_IDS = {
    "uuid": ("uuid", _UUID),
    "bigint": ("bigint", _NUMBER),
    "integer": ("bigint", _NUMBER),
    "text": ("text", None),
    "character varying": ("text", None),
}
"""Type of the id → how to compare with its index, and which texts can be one."""

_ID_TYPE = text(
    "SELECT format_type(a.atttypid, NULL) FROM pg_attribute a "
    "WHERE a.attrelid = to_regclass('auth.users') AND a.attname = 'id' "
    "AND has_schema_privilege(to_regnamespace('auth'), 'USAGE') AND has_table_privilege(a.attrelid, 'SELECT')"
)


def find_unknown_users(session: Session, user_ids: Iterable[str]) -> set[str]:
    """Return which ids are no users; none where there is no register: auth.users absent, empty or closed to us."""
    wanted = set(user_ids)
    id_type = session.execute(_ID_TYPE).scalar_one_or_none()
    if not wanted or id_type is None:
        return set()
    cast, pattern = _TYPED_IDS.get(id_type, ("", None))
    possible = [one for one in wanted if pattern is None or pattern.fullmatch(one)]
    condition = f"u.id = ANY(CAST(:ids AS {cast}[]))" if cast else "CAST(u.id AS text) = ANY(:ids)"
    statement = text(f"SELECT CAST(u.id AS text) FROM auth.users u WHERE {condition}")  # noqa: S608 - our own constants
    known = {row[0] for row in session.execute(statement, {"ids": possible})}
    if len(known) == len(wanted):
        return set()
    if not known and not session.execute(text("SELECT EXISTS (SELECT 1 FROM auth.users)")).scalar_one():
        return set()
    return wanted - known
