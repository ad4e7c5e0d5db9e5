from __future__ import annotations

import pytest

from billing_worker.stripe_gateway.breaker import (
    FAILURES,
    FIRST_OPEN_SECONDS,
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
)


class Rig:
    def __init__(self) -> None:
        self.now = 1000.0
        self.told: list[tuple[CircuitState, float]] = []
        self.breaker = CircuitBreaker(
            tell=lambda state, seconds: self.told.append((state, seconds)), monotonic=lambda: self.now
        )

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.admit("x")
            self.breaker.note(answered=False)


def test_it_opens_after_failures_in_a_row_only() -> None:
    rig = Rig()
    rig.fail(FAILURES - 1)
    rig.breaker.note(answered=True)
    rig.fail(FAILURES - 1)
    assert (rig.breaker.state, rig.told) == (CircuitState.CLOSED, [])
    rig.fail()
    assert rig.told == [(CircuitState.OPEN, FIRST_OPEN_SECONDS)]
    with pytest.raises(CircuitOpenError, match="asked again in 10 s"):
        rig.breaker.admit("x")


def test_one_probe_goes_out_and_decides() -> None:
    rig = Rig()
    rig.fail(FAILURES)
    rig.now += FIRST_OPEN_SECONDS
    rig.breaker.admit("probe")
    with pytest.raises(CircuitOpenError):
        rig.breaker.admit("second")
    rig.breaker.note(answered=False)
    rig.now += FIRST_OPEN_SECONDS
    with pytest.raises(CircuitOpenError):
        rig.breaker.admit("too early: the wait has doubled")
    rig.now += FIRST_OPEN_SECONDS
    rig.breaker.admit("probe")
    rig.breaker.note(answered=True)
    assert [state for state, _ in rig.told] == ["open", "half_open", "open", "half_open", "closed"]
    rig.breaker.admit("as always")


def test_a_probe_whose_process_forgot_it_is_followed_by_another() -> None:
    rig = Rig()
    rig.fail(FAILURES)
    rig.now += FIRST_OPEN_SECONDS
    rig.breaker.admit("lost")
    rig.now += FIRST_OPEN_SECONDS
    rig.breaker.admit("next")
