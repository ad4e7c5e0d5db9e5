"""Parameter type: whole numbers, where a fraction is a mistake and no rounding is wanted."""

from __future__ import annotations

import re

import click


class IntegerType(click.ParamType[int]):
    """A whole number: 2."""

    name = "integer"

    def __init__(self, example: str) -> None:
        self._example = example

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a whole number written in digits."""
        if isinstance(value, int):
            return value
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", str(value).strip()):
            self.fail(f"Invalid integer: {value}. Whole numbers only, for example {self._example}", param, ctx)
        return int(str(value))
