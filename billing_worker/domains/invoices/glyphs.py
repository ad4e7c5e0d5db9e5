"""Which characters fonts have signs for: the `cmap` table of TrueType and OpenType files. stdlib only.

Source: the OpenType specification, `cmap`, formats 4 and 12; other formats are rare and count as covering nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

ALWAYS_THERE = 0x24F
"""Every font that is used has Latin signs up to here."""

_ENCODINGS = ((3, 10), (0, 6), (0, 4), (3, 1), (0, 3))
"""Unicode subtables, the fullest first."""

_SEGMENTS, _GROUPS = 4, 12


def find_missing(characters: Iterable[str], fonts: Iterable[tuple[str, int]]) -> str:
    """Return the characters that none of some fonts (file, index in it) has, in their order."""
    missing = {one for one in characters if ord(one) > ALWAYS_THERE and one.isprintable()}
    for path, index in fonts:
        if not missing:
            break
        ranges = list(_read_ranges(Path(path), index))
        missing = {one for one in missing if not any(first <= ord(one) <= last for first, last in ranges)}
    return "".join(sorted(missing))


def _read_ranges(path: Path, index: int) -> Iterator[tuple[int, int]]:
    with path.open("rb") as file:
        start = 0
        if file.read(4) == b"ttcf":
            file.seek(12 + 4 * index)
            (start,) = struct.unpack(">I", file.read(4))
        file.seek(start + 4)
        (count,) = struct.unpack(">H", file.read(2))
        file.seek(start + 12)
        directory = file.read(16 * count)
        tables = {
            directory[at : at + 4]: struct.unpack_from(">II", directory, at + 8) for at in range(0, 16 * count, 16)
        }
        offset, length = tables.get(b"cmap", (0, 0))
        file.seek(offset)
        table = file.read(length)
    if len(table) == 0:
        return
    (count,) = struct.unpack_from(">H", table, 2)
    found = {}
    for number in range(count):
        platform, encoding, at = struct.unpack_from(">HHI", table, 4 + 8 * number)
        found[platform, encoding] = at
    for wanted in _ENCODINGS:
        if wanted in found:
            yield from _read_subtable(table, found[wanted])
            return


def _read_subtable(table: bytes, at: int) -> Iterator[tuple[int, int]]:
    (kind,) = struct.unpack_from(">H", table, at)
    if kind == _GROUPS:
        (count,) = struct.unpack_from(">I", table, at + 12)
        for number in range(count):
            first, last, _ = struct.unpack_from(">III", table, at + 16 + 12 * number)
            yield first, last
    elif kind == _SEGMENTS:
        (doubled,) = struct.unpack_from(">H", table, at + 6)
        ends = struct.unpack_from(f">{doubled // 2}H", table, at + 14)
        starts = struct.unpack_from(f">{doubled // 2}H", table, at + 16 + doubled)
        yield from zip(starts, ends, strict=True)
