"""Total extractors: each reads one column's value from a snapshot, None where absent, ShapeError where it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from billing_worker.kernel.clock import from_unix
from billing_worker.kernel.errors import TerminalError

Extractor = Callable[[Mapping[str, Any]], Any]
Path = tuple[str | int, ...]


class ShapeError(TerminalError):
    """A snapshot does not have the shape this release understands.

    Shape: `reason` is a short name for counting, `detail` names the field and what stands there.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def look_up(data: Mapping[str, Any], path: Path) -> Any:  # noqa: ANN401 - JSON
    """Follow a path of keys and list positions; None as soon as something is absent."""
    if len(path) == 1 and isinstance(path[0], str):  # nearly all paths, for every column of every event
        return data.get(path[0])
    value: Any = data
    for step in path:
        if isinstance(step, str) and isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and len(value) > step:
            value = value[step]
        else:
            return None
    return value


def text(*path: str | int) -> Extractor:
    """Read a string."""
    return _typed(path, str, "a string")


def flag(*path: str | int) -> Extractor:
    """Read a boolean."""
    return _typed(path, bool, "a boolean")


def integer(*path: str | int) -> Extractor:
    """Read a whole number that fits a bigint."""

    def extract(data: Mapping[str, Any]) -> int | None:
        value = look_up(data, path)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
            raise ShapeError("unexpected_shape", f"{_dotted(path)} is not a whole number")
        return value

    return extract


def instant(*path: str | int) -> Extractor:
    """Read a Unix timestamp as an aware time."""
    seconds = integer(*path)

    def extract(data: Mapping[str, Any]) -> datetime | None:
        value = seconds(data)
        if value is None:
            return None
        try:
            return from_unix(value)
        except (OverflowError, ValueError, OSError):
            raise ShapeError("unexpected_shape", f"{_dotted(path)} is not a timestamp") from None

    return extract


def reference(*path: str | int) -> Extractor:
    """Read the id of another object, given as an id or expanded."""

    def extract(data: Mapping[str, Any]) -> str | None:
        value = look_up(data, path)
        if isinstance(value, Mapping):
            value = value.get("id")
        if value is not None and not isinstance(value, str):
            raise ShapeError("unexpected_shape", f"{_dotted(path)} is neither an id nor an object")
        return value

    return extract


def first_of(*extractors: Extractor) -> Extractor:
    """Take the first value that is present."""

    def extract(data: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as the parts
        return next((value for part in extractors if (value := part(data)) is not None), None)

    return extract


def _typed(path: Path, kind: type, name: str) -> Extractor:
    def extract(data: Mapping[str, Any]) -> Any:  # noqa: ANN401 - checked below
        value = look_up(data, path)
        if value is not None and not isinstance(value, kind):
            raise ShapeError("unexpected_shape", f"{_dotted(path)} is not {name}")
        return value

    return extract


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
