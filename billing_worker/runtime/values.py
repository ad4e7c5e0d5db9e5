"""Types of setting values: durations, sizes, comma lists; each error shows a right example."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_ADDRESS = r"[\w+-]+(?:\.[\w+-]+)*@[\w-]+(?:\.[\w-]+)*"
_SENDER = re.compile(rf"{_ADDRESS}|[^<>\x00-\x1f\x7f]*<{_ADDRESS}>", re.ASCII)
_API_KEY = re.compile(r"(?:([a-z0-9_-]{1,40}):)?([A-Za-z0-9_-]{24,200})")
_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def parse_duration(value: object) -> timedelta:
    """Read `300`, `30s`, `5m`, `24h` or `7d`; a bare number counts seconds."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d)?", str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write for example 30s, 5m or 24h")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2] or "s"])


def parse_size(value: object) -> int:
    """Read `1048576`, `512M` or `2G` into bytes."""
    match = re.fullmatch(r"(\d+)([KMG]?)B?", str(value).strip().upper())
    if match is None:
        raise ValueError(f"{value!r} is not a size; write for example 512M or 2G")
    return int(match[1]) * _BYTES[match[2]]


def parse_list(value: object) -> tuple[str, ...]:
    """Read values separated by commas; blanks around them do not count."""
    if isinstance(value, tuple):
        return value
    return tuple(part.strip() for part in str(value).split(",") if part.strip())


def parse_zone(value: object) -> ZoneInfo:
    """Read an IANA time zone name."""
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{value!r} is not a time zone; write for example UTC or Europe/Berlin") from None


def parse_sender(value: object) -> str:
    """Read a mail address, with or without a name before it; empty stays empty."""
    sender = str(value).strip()
    if sender and _SENDER.fullmatch(sender) is None:
        raise ValueError("this is no sender; write for example billing@example.com or Example <billing@example.com>")
    return sender


class ApiKey(NamedTuple):
    """Who may call the API: a name for logs and batches, and the digest of the key."""

    name: str
    digest: bytes


def read_api_keys(value: str) -> tuple[ApiKey, ...]:
    """Read `key` or `name:key`, several separated by commas; two keys may share a name while one replaces the other."""
    keys = []
    for part in parse_list(value):
        match = _API_KEY.fullmatch(part)
        if match is None:
            raise ValueError(
                "a key has 24 to 200 letters, digits, - or _, with a name before it if you like; "
                "write for example shop:KEY with a KEY from `openssl rand -hex 24`"
            )
        keys.append(ApiKey(match[1] or "api", hashlib.sha256(match[2].encode()).digest()))
    return tuple(keys)


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
CommaList = Annotated[tuple[str, ...], BeforeValidator(parse_list)]
Zone = Annotated[ZoneInfo, BeforeValidator(parse_zone)]
Sender = Annotated[str, BeforeValidator(parse_sender)]
