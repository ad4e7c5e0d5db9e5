"""A Redis server of our own: configuration with a password, durable, never evicting."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import redis

from billing_worker.stack.ports import LOOPBACK
from billing_worker.stack.postgres import BOUND
from billing_worker.stack.private_files import write_private
from billing_worker.stack.readiness import wait_until_ready

START_TIMEOUT_SECONDS = 30
"""Loading a large append-only file."""


def write_redis_configuration(folder: Path, *, data: Path, port: int, password: str, durable: bool = True) -> Path:
    """Write the server's configuration file, mode 600 because it holds the password, and return its place.

    Shape: `data` is apart from the configuration: it may be deleted, and the next start makes it anew.
    """
    lines = (
        f"bind {LOOPBACK}",
        f"port {port}",
        f'dir "{data}"',
        f"requirepass {password}",
        f"appendonly {'yes' if durable else 'no'}",
        "appendfsync everysec",
        'save ""',
        # a broker that evicts loses messages; running full is an error the workers see and survive
        "maxmemory-policy noeviction",
        "daemonize no",
        'logfile ""',
    )
    path = folder / "redis.conf"
    write_private(path, "\n".join(lines) + "\n")
    return path


def redis_command(binary: Path, configuration: Path, *, data: Path) -> list[str]:
    """Return the server's command line, bound to the life of whoever executes it."""
    bound = [sys.executable, "-I", "-S", str(BOUND), "--death-signal", "TERM", "--folder", str(data)]
    return [*bound, "--", str(binary), str(configuration)]


def redis_url(*, port: int, password: str) -> str:
    """Return a connection URL; passwords are URL-safe tokens."""
    return f"redis://:{password}@{LOOPBACK}:{port}/0"


def wait_for_redis(
    url: str, *, is_alive: Callable[[], bool] = lambda: True, timeout_seconds: float = START_TIMEOUT_SECONDS
) -> None:
    """Wait until the server answers with our password: another server on the port would refuse it."""

    def probe() -> str | None:
        client = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        try:
            client.ping()
        except redis.RedisError as error:
            return str(error)
        finally:
            client.close()
        return None

    wait_until_ready("Redis", probe, timeout_seconds=timeout_seconds, is_alive=is_alive)
