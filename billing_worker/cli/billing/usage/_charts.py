"""Draws usage over time: a line of blocks, or a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from billing_worker.cli._lazy import lazy_module
from billing_worker.kernel.errors import UnavailableError

if TYPE_CHECKING:
    from matplotlib import dates, figure
else:
    dates, figure = (lazy_module(f"matplotlib.{name}") for name in ("dates", "figure"))

BLOCKS = "▁▂▃▄▅▆▇█"
FORMATS = (".png", ".svg")

Timeline = Sequence[tuple[datetime, int]]


def sparkline(values: Sequence[int]) -> str:
    """Draw values from nothing to their highest; a dot is nothing."""
    highest, steps = max(values, default=0), len(BLOCKS)
    return "".join("·" if value <= 0 else BLOCKS[min(value * steps // highest, steps - 1)] for value in values)


def check_plot(path: Path | None) -> None:
    """Refuse a picture that cannot be drawn.

    Raises: click.UsageError, UnavailableError.
    """
    if path is None:
        return
    if path.suffix.lower() not in FORMATS:
        raise click.UsageError(f"{path} is no picture we draw; write for example --plot usage.png or usage.svg")
    if find_spec("matplotlib") is None:
        raise UnavailableError("matplotlib is not installed: pip install 'nself-billing[plot]'")


def plot(path: Path, timelines: Mapping[str, Timeline], *, title: str, zone: ZoneInfo) -> None:
    """Draw one panel a metric into a file."""
    rows = max(len(timelines), 1)
    picture = figure.Figure(figsize=(9, 1 + 2.2 * rows), layout="constrained")
    picture.suptitle(title)
    panels = picture.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for panel, (name, timeline) in zip(panels, timelines.items(), strict=False):
        starts = [at.astimezone(zone) for at, _ in timeline]
        width = (starts[1] - starts[0]) * 0.85 if len(starts) > 1 else 0.8
        panel.bar(starts, [value for _, value in timeline], width=width, align="edge", color="#4b6bfb")
        panel.set_ylabel(name)
        panel.spines[["top", "right"]].set_visible(False)
        locator = dates.AutoDateLocator(tz=zone)
        panel.xaxis.set_major_locator(locator)
        panel.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=zone))
    picture.savefig(path, dpi=150)
