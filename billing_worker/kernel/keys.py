"""Object keys, their lanes, and the identifiers that make work happen once."""

from __future__ import annotations

import zlib

LANE_COUNT = 64
"""Fixed for ever: the lane is stored on every event row."""


def object_key(account_id: str, object_type: str, object_id: str) -> str:
    """Name one Stripe object across accounts: the routing key of its events."""
    return f"{account_id}/{object_type}/{object_id}"


def split_object_key(key: str) -> tuple[str, str, str]:
    """Give back account, type and id of an object key."""
    account_id, object_type, object_id = key.split("/", 2)
    return account_id, object_type, object_id


def lane_of(key: str) -> int:
    """Hash an object key to its lane, 0 to 63, the same on every host and release."""
    return zlib.crc32(key.encode()) % LANE_COUNT


def queue_of_lane(lane: int, queues: int) -> str:
    """Map a lane onto one of the webhook queues."""
    return f"webhooks.{lane % queues}"


def lanes_beside(lane: int, queues: int) -> range:
    """Return the lanes of one queue: those that share it with this lane, itself included."""
    return range(lane % queues, LANE_COUNT, queues)
