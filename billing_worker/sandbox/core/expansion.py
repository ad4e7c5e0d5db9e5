"""`expand`: references replaced by what they refer to, and parts that are left out unless asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.identifiers import PREFIXES
from billing_worker.sandbox.core.session import Session

Includable = Callable[[Session, Document], Any]
MAX_DEPTH = 4
"""Source: Stripe documentation, “Expanding responses”."""
_KIND_OF_PREFIX = sorted(
    ((prefix, kind) for kind, prefix in PREFIXES.items() if prefix), key=lambda pair: len(pair[0]), reverse=True
)
"""The longest first: a schedule's id begins like a subscription's."""


def expand(
    answer: Document, paths: list[str], session: Session, includables: Mapping[tuple[str, str], Includable]
) -> None:
    """Expand an answer in place.

    Raises: ApiError for a path too deep or to nowhere.
    """
    for path in paths:
        parts = path.split(".")
        if len(parts) > MAX_DEPTH + (parts[0] == "data"):
            raise ApiError(f"You cannot expand more than {MAX_DEPTH} levels of a property: {path}", param="expand")
        _descend(answer, parts, path, session, includables)


def _descend(
    node: Any,  # noqa: ANN401 - any JSON value
    parts: list[str],
    path: str,
    session: Session,
    includables: Mapping[tuple[str, str], Includable],
) -> None:
    if isinstance(node, list):
        for element in node:
            _descend(element, parts, path, session, includables)
        return
    if not parts or not isinstance(node, dict):
        return
    name = parts[0]
    include = includables.get((node.get("object", ""), name))
    if include is not None and not isinstance(node.get(name), dict):
        node[name] = include(session, node)
    if name not in node:
        raise invalid(f"This property cannot be expanded ({path}).", param="expand[0]")
    node[name] = _resolved(node[name], session)
    _descend(node[name], parts[1:], path, session, includables)


def _resolved(value: Any, session: Session) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        return [_resolved(element, session) for element in value]
    if not isinstance(value, str):
        return value
    kind = next((kind for prefix, kind in _KIND_OF_PREFIX if value.startswith(prefix)), None)
    found = None if kind is None else session.find(kind, value)
    if found is None and session.store.find(f"_deleted_{kind}", value) is not None:
        return {"id": value, "object": kind, "deleted": True}
    return value if found is None else public(found)
