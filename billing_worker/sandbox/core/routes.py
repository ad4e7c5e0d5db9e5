"""The table of operations: Stripe's own path templates, each with the function that carries it out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.legacy import KEPT
from billing_worker.sandbox.core.session import Session


@dataclass(frozen=True, slots=True)
class Call:
    """One request, decoded: where it acts, what the path names, what the parameters say."""

    session: Session
    ids: tuple[str, ...]
    params: dict[str, Any]
    account_id: str
    events: Any = None
    """The event log, which only the operations on events read."""

    @property
    def id(self) -> str:
        """The first id in the path."""
        return self.ids[0]


Handler = Callable[[Call], Document]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    Shape: `takes` names the parameters that the sandbox gives a meaning to; what is not published is no part of
    Stripe's reference, such as what its own hosted pages call.
    """

    method: str
    path: str
    handler: Handler
    takes: frozenset[str]
    is_published: bool = True

    def check_simulated(self, params: Mapping[str, Any]) -> None:
        """Refuse what Stripe would take and the sandbox would ignore: silence would be a wrong simulation.

        Raises: ApiError 400.
        """
        ignored = sorted(params.keys() - self.takes - KEPT.get((self.method, self.path), frozenset()) - {"expand"})
        if ignored:
            raise invalid(
                f"The sandbox does not simulate {', '.join(ignored)} of {self.method} {self.path}.",
                param=ignored[0],
                code="sandbox_not_simulated",
            )


def route(method: str, path: str, handler: Handler, takes: str = "") -> Route:
    """Make a line of an operations table."""
    return Route(method, path, handler, frozenset(takes.split()))


CURSOR = "limit starting_after ending_before"
"""What every list takes."""
PAGE = f"{CURSOR} created"
"""What most lists take."""


class Router:
    """Finds the operation of a method and path."""

    def __init__(self, tables: list[list[Route]]) -> None:
        self._by_shape: dict[tuple[str, int], list[tuple[re.Pattern[str], Route]]] = {}
        for entry in (entry for table in tables for entry in table):
            pattern = re.compile(re.sub(r"{\w+}", r"([^/]+)", entry.path))
            key = (entry.method, entry.path.count("/"))
            bucket = self._by_shape.setdefault(key, [])
            # Literal paths come first, so that /v1/invoices/create_preview is not taken for an invoice's id.
            bucket.append((pattern, entry))
            bucket.sort(key=lambda pair: pair[1].path.count("{"))

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
        """Return the operation and the ids in its path."""
        for pattern, entry in self._by_shape.get((method, path.count("/")), ()):
            if matched := pattern.fullmatch(path):
                return entry, matched.groups()
        return None

    def routes(self) -> list[Route]:
        """List every operation."""
        return [entry for bucket in self._by_shape.values() for _, entry in bucket]
