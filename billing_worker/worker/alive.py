"""`python -m billing_worker.worker.alive NAME@HOST`: does this worker or Beat answer? For health checks of containers.

Asked through kombu alone: a health check that loads Celery each time costs more than the worker it watches.
"""

from __future__ import annotations

import socket
import sys

from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.pidbox import Mailbox
from redis.exceptions import RedisError

from billing_worker.runtime.settings import load_settings
from billing_worker.worker.broker import CONTROL_EXCHANGE
from billing_worker.worker.wake import SOCKET_SECONDS

ANSWER_SECONDS = 5.0
"""A main process is late while it replaces a child; a health check may be patient."""

EXIT_SILENT = 1
EXIT_USAGE = 2


def is_alive(broker_url: str, node: str, *, patience_seconds: float = ANSWER_SECONDS) -> bool:
    """Ask one node over the broker; False when it or the broker does not answer."""
    options = {"socket_timeout": patience_seconds, "socket_connect_timeout": SOCKET_SECONDS}
    with Connection(broker_url, transport_options=options, connect_timeout=SOCKET_SECONDS) as connection:
        mailbox = Mailbox(CONTROL_EXCHANGE, type="fanout", accept=["json"])(connection)
        try:
            return bool(mailbox.call([node], "ping", timeout=patience_seconds))
        except (OperationalError, OSError, RedisError):
            return False


def main(arguments: list[str]) -> int:
    """Return the exit code of a health check."""
    match arguments:
        case [name]:
            node = name.replace("%h", socket.gethostname())
        case _:
            sys.stderr.write("usage: python -m billing_worker.worker.alive NAME@HOST, for example worker-tick@%h\n")
            return EXIT_USAGE
    if is_alive(load_settings().broker_url, node):
        return 0
    sys.stderr.write(f"{node} does not answer\n")
    return EXIT_SILENT


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
