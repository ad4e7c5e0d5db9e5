"""Processor time by part of the system: what each process and its children, ended ones included, have used so far."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def processor_seconds(parts: Mapping[str, list[int]]) -> dict[str, float]:
    """Return the seconds of each part, a list of process ids whose whole trees are counted."""
    children: dict[int, list[int]] = defaultdict(list)
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile: its parent has its time
        pid = int(stat.parent.name)
        children[int(fields[1])].append(pid)
        ticks[pid] = sum(int(field) for field in fields[11:15])
    return {
        name: sum(_of_tree(pid, children, ticks) for pid in pids) / TICKS_PER_SECOND for name, pids in parts.items()
    }


def _of_tree(pid: int, children: Mapping[int, list[int]], ticks: Mapping[int, int]) -> int:
    return ticks.get(pid, 0) + sum(_of_tree(child, children, ticks) for child in children.get(pid, ()))
