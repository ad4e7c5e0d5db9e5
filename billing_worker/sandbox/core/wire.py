"""Stripe's wire format: bracketed keys in, JSON out."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_MAX_DEPTH = 12
"""Deeper nesting exists in no operation; a bound keeps hostile bodies from recursing."""
_MAX_PAIRS = 2000


def decode_form(body: str) -> dict[str, Any]:
    """Turn `items[0][price]=…` into nested levels; `expand[]` counts up by itself.

    Raises: ApiError 400 for keys that cannot be nested.
    """
    decoded: dict[str, Any] = {}
    try:
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=_MAX_PAIRS, errors="strict")
    except ValueError as error:
        raise invalid(f"Invalid request body: {error}") from error
    for key, value in pairs:
        _place(decoded, _split(key), value, key)
    return decoded


def as_form(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Give a JSON body of the v2 API the form that bracketed keys give: levels of text."""
    if isinstance(value, dict):
        return {key: as_form(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return {str(index): as_form(inner) for index, inner in enumerate(value)}
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def encode_json(document: Document) -> bytes:
    """Render a body; unlike Stripe's not indented, because Python's fast encoder cannot."""
    return json.dumps(document, separators=(",", ":")).encode()


def _split(key: str) -> list[str]:
    matched = _KEY.fullmatch(key)
    if matched is None:
        raise invalid(f"Invalid parameter name: {key}", param=key)
    parts = [matched[1], *re.findall(r"\[([^\[\]]*)\]", matched[2])]
    if len(parts) > _MAX_DEPTH:
        raise invalid(f"Invalid parameter name: nested deeper than {_MAX_DEPTH} levels", param=parts[0])
    return parts


def _place(level: dict[str, Any], parts: list[str], value: str, key: str) -> None:
    for index, part in enumerate(parts):
        name = part or str(len(level))
        if index == len(parts) - 1:
            if isinstance(level.get(name), dict):
                raise invalid(f"Invalid parameter: {key} is given both as a value and as a hash", param=parts[0])
            level[name] = value
            return
        level = level.setdefault(name, {})
        if not isinstance(level, dict):
            raise invalid(f"Invalid parameter: {key} is given both as a value and as a hash", param=parts[0])
