"""Lines of several processes, in several formats, as one story."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing_worker.stack.errors import UnknownServiceError
from billing_worker.stack.read_logs import parse_lines, read_logs


def line(second: int, event: str, level: str = "info") -> str:
    return f'{{"timestamp": "2026-01-30T10:00:{second:02}.5Z", "level": "{level}", "event": "{event}"}}\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


def texts(home: Path, *services: str, **filters: object) -> list[str]:
    options = {"tail": 100, **filters}
    environ = {"NSELF_HOME": str(home), "NSELF_ENV_FILE": str(home / "env")}
    return [found.text for found in read_logs(environ, services, **options)]  # type: ignore[arg-type] # test options


def test_processes_of_a_group_are_merged_by_time(home: Path) -> None:
    (home / "logs" / "mail.log").write_text(line(2, "two") + line(4, "four"))
    (home / "logs" / "beat-a.log").write_text(line(1, "one") + line(3, "three"))

    found = texts(home, "billing")

    assert [text.split('"')[-2] for text in found] == ["one", "two", "three", "four"]


def test_rotated_files_come_before_the_current_one_oldest_first(home: Path) -> None:
    for number in range(12):
        (home / "logs" / f"mail.log.{number + 1}").write_text(line(12 - number, f"old-{number + 1}"))
    (home / "logs" / "mail.log").write_text(line(20, "new"))

    found = texts(home, "mail", tail=3)

    assert [text.split('"')[-2] for text in found] == ["old-2", "old-1", "new"]


def test_filters_by_level_text_and_time(home: Path) -> None:
    (home / "logs" / "mail.log").write_text(
        line(1, "restart", "debug") + line(2, "Restart", "warning") + line(3, "sent", "error")
    )

    assert len(texts(home, "mail", level="debug")) == 3
    assert len(texts(home, "mail", level="warning")) == 2
    assert len(texts(home, "mail", containing="restart")) == 2
    assert len(texts(home, "mail", since=datetime(2026, 1, 30, 10, 0, 3, tzinfo=UTC))) == 1


def test_a_traceback_belongs_to_the_line_above_it() -> None:
    lines = list(parse_lines("mail", [line(5, "failed", "error").strip(), "Traceback (most recent call last):", "  x"]))

    assert {found.at.second for found in lines} == {5}
    assert {found.level for found in lines} == {"error"}


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-22 08:33:10.267 UTC [12] LOG:  x", datetime(2026, 11, 22, 8, 33, 10, 267000, tzinfo=UTC)),
        ("2026-11-22 08:33:10,267 GET /v1", datetime(2026, 11, 22, 8, 33, 10, 267000, tzinfo=UTC)),
        ("13948:M 22 Nov 2026 08:33:34.763 * x", datetime(2026, 11, 22, 8, 33, 34, 763000, tzinfo=UTC)),
        ("[I 261122 08:42:46 mixins:228] x", datetime(2026, 11, 22, 8, 42, 46, tzinfo=UTC)),
    ],
)
def test_the_time_of_every_servers_lines_is_read(text: str, at: datetime) -> None:
    [found] = parse_lines("any", [text])

    assert found.at == at


@pytest.mark.parametrize("text", ["", "{broken", "[1, 2]", "9999-99-99 99:99:99 x", "{}", '{"timestamp": 5}'])
def test_a_line_that_says_nothing_is_kept_as_it_is(text: str) -> None:
    [found] = parse_lines("any", [text])

    assert (found.text, found.level) == (text, "info")


def test_a_service_that_never_ran_has_no_lines(home: Path) -> None:
    assert texts(home, "mail") == []
    with pytest.raises(UnknownServiceError):
        texts(home, "nginx")
