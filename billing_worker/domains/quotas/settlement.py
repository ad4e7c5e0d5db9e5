"""Rules of what counts: units taken by checks and reservations, settled by the usage that is recorded of them.

Recorded usage is first taken for the use of units that were granted before; what goes beyond stands for itself. So an
application that checks and then records counts once, one that only checks counts what it was granted, and one that only
records counts its records.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

LEASE_SHARE = 8
"""A lease is an eighth of what is left: a flush of Redis then refuses little, and renewals stay rare."""

LEASE_MIN = 8
"""Below this the last units are granted one by one by PostgreSQL."""

LEASE_MAX = 50_000
"""As much as a process can check in the life of a lease, so that few wait for a renewal."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of a period's units.

    Shape: `used` as measured from records; `spent` by grants that have ended; `settled` the part of spent that records
    cover; `credit` recorded while leases or reservations were open and not settled yet: it will cover their spending.
    """

    used: int
    spent: int = 0
    settled: int = 0
    credit: int = 0

    @property
    def taken(self) -> int:
        """Return the units that are gone."""
        return self.used - self.settled + self.spent


def measure(ledger: Ledger, used: int, *, held: int, settles: bool) -> Ledger:
    """Take a new measurement in; `held` units are in open leases and reservations."""
    if not settles:
        return replace(ledger, used=used)
    growth = used - ledger.used
    if growth <= 0:
        settled = min(ledger.settled, used)
        return replace(ledger, used=used, settled=settled, credit=min(ledger.credit, used - settled))
    covered = min(growth, ledger.spent - ledger.settled)
    credit = min(ledger.credit + growth - covered, held)
    return replace(ledger, used=used, settled=ledger.settled + covered, credit=max(credit, 0))


def grant(ledger: Ledger, units: int) -> Ledger:
    """Grant units at once; their usage is still to come."""
    return replace(ledger, spent=ledger.spent + units)


def end_hold(ledger: Ledger, spent: int, *, held: int) -> Ledger:
    """Count what was spent of a lease or a reservation that has ended; `held` is what is still open beside it."""
    covered = min(spent, ledger.credit)
    return Ledger(
        used=ledger.used,
        spent=ledger.spent + spent,
        settled=ledger.settled + covered,
        credit=min(ledger.credit - covered, held),
    )


def compute_lease(available: int) -> int:
    """Compute the units of a new lease; zero near the limit."""
    units = min(available // LEASE_SHARE, LEASE_MAX)
    return units if units >= LEASE_MIN else 0
