"""The services' logs, rotated files included, merged by time and filtered."""

from __future__ import annotations

import heapq
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from billing_worker.runtime.sources import read_sources
from billing_worker.stack.home import StackHome
from billing_worker.stack.programs import select_programs

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
DEFAULT_LEVEL = "info"
BEGINNING = datetime.min.replace(tzinfo=UTC)
TIMES = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d"), "%Y-%m-%d %H:%M:%S"),  # ours, PostgreSQL, the sandbox
    (re.compile(r"\d+:[A-Z] (\d\d \w{3} \d{4} \d\d:\d\d:\d\d)"), "%d %b %Y %H:%M:%S"),  # Redis
    (re.compile(r"\[[A-Z] (\d{6} \d\d:\d\d:\d\d)"), "%y%m%d %H:%M:%S"),  # Flower
)
"""How each kind of line begins, and how its time is read."""
FRACTION = re.compile(r"[.,](\d{1,6})")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one process."""

    at: datetime
    process: str
    level: str
    text: str
    fields: Mapping[str, object] = field(default_factory=dict)


def read_logs(
    environ: Mapping[str, str],
    services: tuple[str, ...],
    *,
    tail: int,
    level: str = "debug",
    containing: str = "",
    since: datetime | None = None,
) -> list[LogLine]:
    """Return the last lines of services that pass the filters, oldest first.

    Raises: UnknownServiceError.
    """
    home = StackHome(read_sources(environ).home)
    streams = [_process_lines(home.logs, program.name) for program in select_programs(services)]
    merged = heapq.merge(*streams, key=lambda line: line.at)
    wanted = containing.casefold()
    passing = (
        line
        for line in merged
        if LEVELS.get(line.level, LEVELS[DEFAULT_LEVEL]) >= LEVELS[level]
        and (since is None or line.at >= since)
        and wanted in line.text.casefold()
    )
    return list(deque(passing, maxlen=tail))


def parse_lines(process: str, texts: Iterable[str]) -> Iterator[LogLine]:
    """Read lines; one without a time of its own (a traceback's) belongs to the line before it."""
    at, level = BEGINNING, DEFAULT_LEVEL
    for text in texts:
        fields = _fields(text)
        found = _instant(str(fields.get("timestamp", text)))
        if found is not None:
            # a clock that stepped back must not hide a line from the merge, which wants rising times
            at = max(at, found)
            level = str(fields.get("level", DEFAULT_LEVEL))
        yield LogLine(at=at, process=process, level=level, text=text, fields=fields)


def _process_lines(folder: Path, process: str) -> Iterator[LogLine]:
    return parse_lines(process, _texts(folder, process))


def _texts(folder: Path, process: str) -> Iterator[str]:
    rotated = [path for path in folder.glob(f"{process}.log.*") if path.suffix[1:].isdigit()]
    for path in (*sorted(rotated, key=lambda each: -int(each.suffix[1:])), folder / f"{process}.log"):
        try:
            file = path.open(encoding="utf-8", errors="replace")
        except FileNotFoundError:  # not started yet, or rotated away under our hands
            continue
        with file:
            for line in file:
                yield line.rstrip("\n")


def _fields(text: str) -> Mapping[str, object]:
    if not text.startswith("{"):
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _instant(text: str) -> datetime | None:
    for pattern, form in TIMES:
        if (match := pattern.match(text)) is None:
            continue
        try:
            at = datetime.strptime(match[match.lastindex or 0].replace("T", " "), form).replace(tzinfo=UTC)
        except ValueError:  # looks like a time and is none
            return None
        fraction = FRACTION.match(text, match.end())
        return at if fraction is None else at.replace(microsecond=int(fraction[1].ljust(6, "0")))
    return None
