from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from billing_worker.domains.quotas.settlement import (
    LEASE_MAX,
    LEASE_MIN,
    LEASE_SHARE,
    Ledger,
    compute_lease,
    end_hold,
    grant,
    measure,
)

STEPS = st.lists(
    st.tuples(st.sampled_from(["grant", "lease", "spend", "end", "record", "measure"]), st.integers(1, 9)), max_size=60
)


class Application:
    """Someone who asks for every unit before he records it."""

    def __init__(self, *, settles: bool = True) -> None:
        self.ledger = Ledger(0)
        self.settles = settles
        self.granted = 0
        self.recorded = 0
        self.leases: list[list[int]] = []

    @property
    def held(self) -> int:
        return sum(units for units, _ in self.leases)

    def step(self, verb: str, units: int) -> None:
        match verb:
            case "grant":
                self.ledger = grant(self.ledger, units)
                self.granted += units
            case "lease":
                self.leases.append([units, 0])
            case "spend" if self.leases and self.leases[-1][1] < self.leases[-1][0]:
                self.leases[-1][1] += 1
                self.granted += 1
            case "end" if self.leases:
                _, spent = self.leases.pop(units % len(self.leases))
                self.ledger = end_hold(self.ledger, spent, held=self.held)
            case "record":
                self.recorded += min(units, self.granted - self.recorded)
            case "measure":
                self.ledger = measure(self.ledger, self.recorded, held=self.held, settles=self.settles)

    def finish(self) -> None:
        while self.leases:
            self.step("end", 1)
        self.recorded = self.granted
        self.step("measure", 1)


@given(STEPS)
def test_who_asks_and_then_records_counts_once_whatever_comes_when(steps: list[tuple[str, int]]) -> None:
    application = Application()
    for verb, units in steps:
        application.step(verb, units)
        ledger = application.ledger
        assert 0 <= ledger.settled <= min(ledger.spent, ledger.used)
        assert 0 <= ledger.credit <= application.held
        # what is gone and what is held is never less than what was really granted or recorded
        assert ledger.taken + application.held >= max(application.granted, ledger.used)
    application.finish()
    assert application.ledger == Ledger(application.granted, application.granted, application.granted, 0)
    assert application.ledger.taken == application.granted


@given(STEPS)
def test_without_settling_records_and_grants_add_up(steps: list[tuple[str, int]]) -> None:
    application = Application(settles=False)
    for verb, units in steps:
        application.step(verb, units)
    application.finish()
    assert application.ledger.taken == 2 * application.granted


def test_other_usage_stands_for_itself() -> None:
    ledger = measure(Ledger(0), 60, held=0, settles=True)
    ledger = grant(ledger, 40)
    assert ledger.taken == 100
    ledger = measure(ledger, 100, held=0, settles=True)
    assert (ledger.taken, ledger.settled) == (100, 40)
    assert measure(ledger, 107, held=0, settles=True).taken == 107


def test_a_correction_takes_back_what_it_settled() -> None:
    ledger = measure(grant(Ledger(0), 10), 10, held=0, settles=True)
    assert measure(ledger, 4, held=0, settles=True) == Ledger(used=4, spent=10, settled=4, credit=0)


def test_leases_shrink_towards_the_limit() -> None:
    assert compute_lease(10**9) == LEASE_MAX
    assert compute_lease(800) == 800 // LEASE_SHARE
    assert compute_lease(LEASE_MIN * LEASE_SHARE) == LEASE_MIN
    assert compute_lease(LEASE_MIN * LEASE_SHARE - 1) == 0
