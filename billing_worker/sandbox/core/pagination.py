"""Lists, newest first, in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from billing_worker.sandbox.core.documents import Document, list_of, public
from billing_worker.sandbox.core.errors import invalid, no_such

MAX_LIMIT = 100
DEFAULT_LIMIT = 10

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def page(newest_first: Iterable[Document], params: dict[str, Any], url: str, *, kind: str = "object") -> Document:
    """Cut one page out of a list.

    Raises: ApiError for a limit outside 1 to 100, both cursors at once, or a cursor that is not in the list.
    """
    limit = check_limit(params.get("limit", DEFAULT_LIMIT))
    after, before = params.get("starting_after"), params.get("ending_before")
    if after and before:
        raise invalid(
            "You cannot parameterize pagination by both `starting_after` and `ending_before`.", param="ending_before"
        )
    if before:
        return _page_before(newest_first, before, limit, url, kind)
    rest = iter(newest_first)
    if after:
        for document in rest:
            if document["id"] == after:
                break
        else:
            raise no_such(kind, after, param="starting_after")
    found = list(islice(rest, limit + 1))
    return list_of(map(public, found[:limit]), url, has_more=len(found) > limit)


def check_limit(limit: int) -> int:
    """Return the length of a page.

    Raises: ApiError for one outside 1 to 100.
    """
    if not 1 <= limit <= MAX_LIMIT:
        bound = f"less than or equal to {MAX_LIMIT}" if limit > MAX_LIMIT else "greater than or equal to 1"
        raise invalid(f"This value must be {bound}.", param="limit", code="parameter_invalid_integer")
    return limit


def in_range(value: int | None, bound: Any) -> bool:  # noqa: ANN401 - an integer, a hash of bounds or nothing
    """Test a time against `created`-like filters: an exact second or gt, gte, lt, lte."""
    if bound is None or bound == "":
        return True
    if value is None:
        return False
    if isinstance(bound, int):
        return value == bound
    return all(_COMPARE[name](value, limit) for name, limit in bound.items())


def _page_before(newest_first: Iterable[Document], before: str, limit: int, url: str, kind: str) -> Document:
    newer: list[Document] = []
    for document in newest_first:
        if document["id"] == before:
            return list_of(map(public, newer[-limit:]), url, has_more=len(newer) > limit)
        newer.append(document)
    raise no_such(kind, before, param="ending_before")
