"""The mirror held against the sandbox, object by object, by an own reading of Stripe's lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_worker.inbox.order import canonical
from billing_worker.mirror.registry import REGISTRY
from billing_worker.mirror.tables import table_of
from billing_worker.rehearsal.shop_client import ShopClient

LIST_PARAMETERS = {"subscription": {"status": "all"}}
"""Lists that hide a part of their objects unless asked for all."""


@dataclass
class Comparison:
    """How mirror and Stripe stand to each other; `examples` names the first differing objects and fields."""

    compared: int = 0
    differing: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Note a difference."""
        self.differing += 1
        self.examples.append(name)


def compare_mirror(session: Session, client: ShopClient, types: Sequence[str]) -> Comparison:
    """Read the sandbox's lists of some types and compare each object with its mirror row, null equal to absent."""
    comparison = Comparison()
    for name in types:
        path = REGISTRY[name].path or ""
        _compare_type(session, client, comparison, name, path.removeprefix("/v1/"))
    return comparison


def _compare_type(session: Session, client: ShopClient, comparison: Comparison, name: str, path: str) -> None:
    theirs = {one["id"]: one for one in client.list_all(path, **LIST_PARAMETERS.get(name, {}))}
    table = table_of(name)
    ours = {
        row.id: row.data
        for row in session.execute(select(table.c.id, table.c.data).where(table.c.deleted_at.is_(None)))
    }
    comparison.compared += len(theirs)
    for object_id in sorted(theirs.keys() - ours.keys()):
        comparison.add(f"{object_id} is missing here")
    for object_id in sorted(ours.keys() - theirs.keys()):
        comparison.add(f"{object_id} is missing at Stripe")
    for object_id in sorted(theirs.keys() & ours.keys()):
        fields = [
            key
            for key in sorted(theirs[object_id].keys() | ours[object_id].keys())
            if canonical(theirs[object_id].get(key)) != canonical(ours[object_id].get(key))
        ]
        if fields:
            comparison.add(f"{object_id} differs in {', '.join(fields)}")
