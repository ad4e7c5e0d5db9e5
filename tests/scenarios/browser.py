"""Headless Chromium: what a person sees of a page."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1600,1000",
)
LOAD_MILLISECONDS = 3_000
"""Virtual time: the page's own timers and requests run, nobody waits for real."""


def read_page(url: str, folder: Path) -> str:
    """Return the document as it stands after its scripts ran."""
    return _run(url, folder, "--dump-dom")


def photograph_page(url: str, folder: Path, name: str) -> Path:
    """Save a picture of the page and return its place."""
    picture = folder / f"{name}.png"
    _run(url, folder, f"--screenshot={picture}")
    return picture


def _run(url: str, folder: Path, action: str) -> str:
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        *QUIET,
        f"--user-data-dir={folder / 'profile'}",
        f"--virtual-time-budget={LOAD_MILLISECONDS}",
        action,
        url,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
