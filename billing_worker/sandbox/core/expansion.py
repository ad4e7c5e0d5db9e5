"""`expand`: references replaced by what they refer to, and parts that are left out unless asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import ApiError
from billing_worker.sandbox.core.identifiers import PREFIXES
from billing_worker.sandbox.core.session import Session
from billing_worker.stripe_gateway.schema import Attributes, attributes_of

Includable = Callable[[Session, Document], Any]
MAX_DEPTH = 4
"""Source: Stripe documentation, “Expanding responses”; the `data` of a list is a level too."""
_LISTS = frozenset({"list", "search_result"})
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
    for path in dict.fromkeys(paths):
        parts = path.split(".")
        if len(parts) > MAX_DEPTH:
            raise _refusal(
                f"You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}",
                "property_expansion_max_depth",
            )
        if answer.get("object") in _LISTS and path == "total_count":
            # Lists count themselves while they are made, or have no count.
            continue
        if answer.get("object") in _LISTS and parts[0] not in answer:
            raise _refusal(
                f"This property cannot be expanded ({path}). You may want to try expanding 'data.{path}' instead."
            )
        _Expansion(path, session, includables).descend(answer, parts, Attributes())


_NAMED_BY_MERCHANTS = frozenset({"coupon", "product"})
"""Kinds whose ids merchants may choose, so that they begin like nothing in particular."""


@dataclass(frozen=True, slots=True)
class _Expansion:
    path: str
    session: Session
    includables: Mapping[tuple[str, str], Includable]

    def descend(self, node: Any, parts: list[str], around: Attributes) -> None:  # noqa: ANN401 - any JSON value
        """Go down one level; `around` belongs to the object that a plain hash lies in."""
        if isinstance(node, list):
            for element in node:
                self.descend(element, parts, around)
            return
        if not parts or not isinstance(node, dict):
            return
        kind, name = node.get("object", ""), parts[0]
        known = attributes_of(kind) if kind and kind not in _LISTS else around
        include = self.includables.get((kind, name))
        if include is not None and not isinstance(node.get(name), dict):
            node[name] = include(self.session, node)
        if name not in node:
            if name in known.names:
                # A part that Stripe leaves out unless asked for, and that is empty here.
                return
            raise self._impossible()
        node[name] = _resolved(node[name], self.session, name if name in _NAMED_BY_MERCHANTS else None)
        is_reference = include is not None or name in known.expandable
        if len(parts) == 1 and not (is_reference or _can_be_expanded(node[name], known)):
            raise self._impossible()
        self.descend(node[name], parts[1:], known)

    def _impossible(self) -> ApiError:
        return _refusal(f"This property cannot be expanded ({self.path}).")


def _can_be_expanded(value: Any, known: Attributes) -> bool:  # noqa: ANN401 - any JSON value
    # An object, a list of them, or a hash that holds references; null may stand for any of these.
    if isinstance(value, dict):
        return "object" in value or any(key in known.expandable for key in _keys(value))
    return value is None or isinstance(value, list)


def _keys(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        for element in value:
            yield from _keys(element)
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _keys(inner)


def _resolved(value: Any, session: Session, kind: str | None = None) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        return [_resolved(element, session, kind) for element in value]
    if not isinstance(value, str):
        return value
    kind = kind or next((kind for prefix, kind in _KIND_OF_PREFIX if value.startswith(prefix)), None)
    found = None if kind is None else session.find(kind, value)
    if found is None and session.store.find(f"_deleted_{kind}", value) is not None:
        return {"id": value, "object": kind, "deleted": True}
    return value if found is None else public(found)


def _refusal(message: str, code: str | None = None) -> ApiError:
    return ApiError(message, code=code, is_executed=False)
