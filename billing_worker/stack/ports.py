"""Free ports on loopback."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Say whether a server could bind a port now; a port in TIME_WAIT counts as free, as servers reuse it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose_port(preferred: int | None = None, *, avoid: frozenset[int] = frozenset()) -> int:
    """Return the preferred port if it is free, else one the kernel picks."""
    if preferred is not None and preferred not in avoid and is_free(preferred):
        return preferred
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
            candidate.bind((LOOPBACK, 0))
            port = int(candidate.getsockname()[1])
        if port not in avoid:
            return port
