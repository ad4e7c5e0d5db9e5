"""Writes the operators' page of settings out of the settings: `python -m billing_worker.runtime.settings_page`."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from billing_worker.runtime.planned_settings import PLANNED_SETTINGS
from billing_worker.runtime.settings import CORRECTNESS_SWITCHES, Settings

HEAD = """# Settings

Every setting is an environment variable, or a line of the env file that `nself env set NAME=VALUE` writes. They are
read once, when a process starts; a value that cannot work stops the start with a message that names it.
A setting that is *not in this release* is refused by `nself env set` (exit code 5) with what holds until then.
Durations are written `30s`, `5m`, `24h`; sizes `512M`, `2G`; lists with commas.

This page is written by `python -m billing_worker.runtime.settings_page`; a test compares the two.

| setting | default | what it does |
| --- | --- | --- |
"""


def render() -> str:
    """Return the page as Markdown."""
    return HEAD + "".join(
        f"| `{name.upper()}` | {_default(field)} | {_meaning(name, field)} |\n"
        for name, field in Settings.model_fields.items()
    )


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, timedelta):
        return f"`{value.total_seconds():g}s`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{value}`" if value not in ("", None) else "none"


def _meaning(name: str, field: FieldInfo) -> str:
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    allowed = f" ({', '.join(f'`{choice}`' for choice in choices)})" if choices else ""
    if name in CORRECTNESS_SWITCHES:
        return "always on: turning it off would lose, double or reorder events, and is refused"
    if name in PLANNED_SETTINGS:
        return f"{field.description}{allowed}; **not in this release**: {PLANNED_SETTINGS[name]}"
    return f"{field.description}{allowed}"


if __name__ == "__main__":
    sys.stdout.write(render())
