"""Take one object over from Stripe, with what belongs to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.compare_object import compare_object
from billing_worker.changes.services.import_object import import_object
from billing_worker.kernel.errors import NotFoundError

BELONGINGS: Mapping[str, tuple[tuple[str, str, Mapping[str, str]], ...]] = {
    "customer": (
        ("subscription", "subscriptions", {"status": "all"}),
        ("payment_method", "customers/{id}/payment_methods", {}),
        ("invoice", "invoices", {}),
    ),
    "subscription": (("invoice", "invoices", {}),),
}
"""Type → what is taken over with it: type, list at Stripe, fixed parameters; lists are narrowed to the object."""


def sync_object(door: ChangeDoor, object_type: str, object_id: str) -> list[Mapping[str, object]]:
    """Store an object and its belongings as they are at Stripe, and return what changed in the mirror by it.

    Shape: one row per object: id, type, how it stood (here, differed, missing) and whether the mirror has it now. In a
    dry run nothing is stored. What is newer here stays.
    Raises: NotFoundError for an object that Stripe does not have; the gateway's errors.
    """
    rows: list[Mapping[str, object]] = []
    for kind, name in ((object_type, object_id), *_belongings(door, object_type, object_id)):
        compared = compare_object(door.unit_of_work, door.gateway, kind, name)
        if not compared.is_at_stripe:
            if name == object_id:
                raise NotFoundError(f"Stripe has no {object_type} {object_id}; nothing was changed")
            continue
        stood = "equal" if compared.is_equal else "differed" if compared.is_here else "missing"
        is_taken = None if door.is_dry_run or compared.is_equal else import_object(door, kind, name).is_mirrored
        rows.append(
            {
                "object": name,
                "type": kind,
                "stood": stood,
                "fields": sorted(compared.differences),
                "mirrored": is_taken if is_taken is not None else compared.is_equal,
            }
        )
    return rows


def _belongings(door: ChangeDoor, object_type: str, object_id: str) -> Iterator[tuple[str, str]]:
    for kind, path, fixed in BELONGINGS.get(object_type, ()):
        own = {} if "{id}" in path else {object_type: object_id}
        params: dict[str, Any] = {**fixed, **own}
        after = None
        while True:
            page = door.gateway.list_page(path.format(id=object_id), params=params, starting_after=after)
            yield from ((kind, str(found["id"])) for found in page.data)
            if not page.has_more or not page.data:
                break
            after = str(page.data[-1]["id"])
