"""The page of others' defects names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "peers.md"
NAMED = re.compile(r"`(?:([a-z_/]+\.py)|…)(?:::(test_\w+?)_?(…)?)?`")


def test_every_named_test_exists() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(rows) == 15
    for row in rows:
        file = TESTS
        for path, function, shortened in NAMED.findall(row):
            if path:
                # A bare file name stands in the folder of the one before it.
                file = TESTS / path if "/" in path else file.parent / path
            assert file.is_file(), path
            if function:
                found = re.findall(rf"^def ({function}\w*)\(", file.read_text(encoding="utf-8"), re.MULTILINE)
                assert len(found) == 1, function
                assert shortened or found == [function]
        assert file != TESTS, row
