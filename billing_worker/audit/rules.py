"""Who acts, and what of a command's arguments may be kept."""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from billing_worker.runtime.logs import mask

HIDDEN = "***"

_SECRET_NAME = re.compile(r"secret|password|token|api_key|card|cvc|email", re.IGNORECASE)


def name_actor() -> str:
    """Name the person at the keyboard as `user@host`: by user id, because a variable can be set to anything."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's arbitrary user id has no name
        user = f"uid{uid}"
    return f"{user}@{socket.gethostname()}"


def mask_arguments(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return what was asked for as JSON values, without secrets and without what was not given."""
    return {
        name: HIDDEN if _SECRET_NAME.search(name) else _as_json(value)
        for name, value in arguments.items()
        if value is not None and value is not False and value != ()
    }


def _as_json(value: object) -> object:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_json(each) for each in value]
    return mask(str(value))
