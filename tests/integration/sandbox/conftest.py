"""One sandbox per module: its state is in memory and goes with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.sandbox.process import Sandbox, hosted


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with hosted() as started:
        yield started
    tracebacks = [line for line in started.log if "Traceback" in line]
    assert tracebacks == [], "".join(started.log)


@pytest.fixture
def fresh() -> Iterator[Sandbox]:
    """A sandbox of the test's own, for tests that count everything."""
    with hosted() as started:
        yield started
    tracebacks = [line for line in started.log if "Traceback" in line]
    assert tracebacks == [], "".join(started.log)
