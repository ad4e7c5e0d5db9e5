"""Advisory locks of this system: transaction-level only, in the two-integer form with our classes."""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import text
from sqlalchemy.orm import Session


class LockClass(IntEnum):
    """The first integer of a lock id: what kind of thing is locked. 0x6E53 is taken by migrations."""

    LANE = 0x6E54
    SCHEDULE = 0x6E55
    USAGE_AGGREGATION = 0x6E56
    """Shared by rounds of aggregation, exclusive for whoever builds rollups anew."""
    RECONCILIATION = 0x6E57
    EFFECTS = 0x6E58
    METER_EVENTS = 0x6E5A
    """Held by whoever works out what Stripe's meters are still to be told."""
    USAGE_FREEZE = 0x6E59
    """Shared by whoever records usage, exclusive for whoever freezes a period."""


def try_lock(session: Session, lock_class: LockClass, number: int) -> bool:
    """Take a lock until the transaction ends, or say at once that somebody else has it."""
    statement = text("SELECT pg_try_advisory_xact_lock(:lock_class, :number)")
    return bool(session.execute(statement, {"lock_class": int(lock_class), "number": number}).scalar_one())


def hold_lock(session: Session, lock_class: LockClass, number: int) -> None:
    """Wait until nobody holds a lock, shared or not, and keep it alone until the transaction ends."""
    statement = text("SELECT pg_advisory_xact_lock(:lock_class, :number)")
    session.execute(statement, {"lock_class": int(lock_class), "number": number})


def share_lock(session: Session, lock_class: LockClass, number: int) -> None:
    """Wait until nobody holds a lock exclusively, and keep it shared until the transaction ends."""
    statement = text("SELECT pg_advisory_xact_lock_shared(:lock_class, :number)")
    session.execute(statement, {"lock_class": int(lock_class), "number": number})
