"""Wait until a snapshot that was written through has reached the mirror."""

from __future__ import annotations

from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.queries import get_row_standing

LOOKS = 50
"""How often the row is looked at within the door's patience."""


def await_mirror(door: ChangeDoor, row_id: int | None) -> bool:
    """Have the row's lane drained and say whether the row was applied within the door's patience.

    An object that is not mirrored (`row_id` None) has nothing to wait for.
    """
    if row_id is None:
        return False
    lane, status = _read(door, row_id)
    for look in range(LOOKS):
        if status != "pending":
            break
        if look:
            door.sleep(door.patience_seconds / LOOKS)
        door.attend_lane(lane)
        lane, status = _read(door, row_id)
    return status == "applied"


def _read(door: ChangeDoor, row_id: int) -> tuple[int, str]:
    with door.unit_of_work.transaction() as session:
        return get_row_standing(session, row_id)
