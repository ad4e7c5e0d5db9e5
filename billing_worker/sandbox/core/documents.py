"""API objects as plain documents: copying, hiding internals, telling what changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Document = dict[str, Any]

_WITH_PARTS = (dict, list)
API_VERSION = "2026-10-28.endive"
"""The version the installed SDK pins; every event is rendered in it."""


def clone(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Copy a JSON value deeply; several times faster than copy.deepcopy because JSON has no cycles."""
    if isinstance(value, dict):
        # Most values are plain: to ask first whether one has parts saves most of the calls.
        return {key: clone(inner) if isinstance(inner, _WITH_PARTS) else inner for key, inner in value.items()}
    if isinstance(value, list):
        return [clone(inner) if isinstance(inner, _WITH_PARTS) else inner for inner in value]
    return value


def public(document: Document) -> Document:
    """Copy a document without the sandbox's own notes, whose keys start with an underscore."""
    return {
        key: clone(value) if isinstance(value, _WITH_PARTS) else value
        for key, value in document.items()
        if not key.startswith("_")
    }


def previous_attributes(before: Document, after: Document) -> Document:
    """Tell what an update replaced: hashes key by key, arrays whole, an absent key as null."""
    return {key: value for key, value in _replaced(before, after).items() if not key.startswith("_")}


def _replaced(before: Document, after: Document) -> Document:
    # Underscores hide at the top only: further down, in metadata, they are the merchant's.
    changed: Document = {}
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changed[key] = _replaced(old, new)
        else:
            changed[key] = clone(old)
    return changed


def list_of(data: Iterable[Document], url: str, *, has_more: bool = False) -> Document:
    """Wrap documents the way every list of the API looks."""
    return {"object": "list", "data": list(data), "has_more": has_more, "url": url}


def counted_list(data: Iterable[Document], url: str) -> Document:
    """Wrap the parts that an object shows of itself: Stripe counts those."""
    found = list(data)
    return {"object": "list", "data": found, "has_more": False, "total_count": len(found), "url": url}


def reference(value: Any) -> str | None:  # noqa: ANN401 - an id, an expanded object or null
    """Give the id of a reference, expanded or not."""
    found: str | None = value["id"] if isinstance(value, dict) else value
    return found
