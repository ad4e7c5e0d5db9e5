"""`python -m webhook_receiver`: check, bind BILLING_RECEIVER_HOST:PORT, serve until told to stop.

Slow senders hold a connection and some memory, never a thread: headers and bodies have their time, and the oldest
unfinished body gives way to younger ones.
"""

from __future__ import annotations

import math
import sys
from urllib.parse import urlsplit

import psycopg2
import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from billing_worker.inbox.addresses import STRIPE_HOST
from billing_worker.kernel.errors import InvalidValueError, RefusedError, TerminalError
from billing_worker.runtime.logs import configure_logs
from billing_worker.runtime.settings import Settings, load_settings
from webhook_receiver.start_check import connect
from webhook_receiver.wsgi import SERVICE

EXIT_REFUSED = 3
MAX_CONNECTIONS = 4_096
"""Idle and slow ones included; each costs some kilobytes."""

HEADER_MILLISECONDS = 65_000
"""For the headers to arrive, and for an idle connection: load balancers keep theirs for 60 s, and whoever closes first
may lose a delivery that is just being sent."""

STOP_MARGIN_SECONDS = 5
"""Beyond WEBHOOK_TIMEOUT: whoever waits for a commit gets an answer before the worker is killed."""

_log = structlog.get_logger(__name__)


def main() -> int:
    """Serve, or say why not: exit code 3 for what an operator must mend."""
    try:
        settings = load_settings()
        _check_settings(settings)
        configure_logs(level=settings.billing_log_level, service=SERVICE)
        _check_database(settings)
    except TerminalError as error:
        print(f"webhook_receiver: {error}", file=sys.stderr)  # noqa: T201 - for the person who starts it
        return EXIT_REFUSED
    _log.info("receiver_starting", host=settings.billing_receiver_host, port=settings.billing_receiver_port)
    _server(settings).serve()
    return 0


def _check_settings(settings: Settings) -> None:
    if not settings.database_url.get_secret_value():
        raise InvalidValueError("DATABASE_URL is not set: write for example postgresql://billing@db/billing")
    if not settings.redis_url.get_secret_value():
        raise InvalidValueError("REDIS_URL is not set: write for example redis://redis:6379/0")
    if not settings.webhook_secrets:
        raise InvalidValueError(
            "STRIPE_WEBHOOK_SECRET is not set: no delivery could be verified; "
            "copy the endpoint's signing secret (whsec_…) from Stripe"
        )

    if settings.stripe_enable_ip_whitelist and urlsplit(settings.stripe_api_base).hostname != STRIPE_HOST:
        raise InvalidValueError(
            "STRIPE_ENABLE_IP_WHITELIST would shut the sandbox out, which delivers from this machine: "
            "nself env set STRIPE_ENABLE_IP_WHITELIST=false"
        )


def _check_database(settings: Settings) -> None:
    try:
        connect(settings).close()
    except psycopg2.OperationalError as error:
        # Deliveries get 503 until it is back, and each new connection is checked in the same way.
        _log.warning("receiver_starts_without_database", error=" ".join(str(error).split()))
    except psycopg2.Error as error:
        raise RefusedError(f"the database cannot be checked: {' '.join(str(error).split())}") from error


def _server(settings: Settings) -> MPServer:
    return MPServer(
        "webhook_receiver.wsgi:build_front",
        factory=True,
        address=settings.billing_receiver_host,
        port=settings.billing_receiver_port,
        interface=Interfaces.RSGI,
        workers=1,  # one writer gathers everybody's deliveries; a second process would halve its groups
        backlog=MAX_CONNECTIONS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS),
        websockets=False,
        workers_kill_timeout=math.ceil(settings.webhook_timeout.total_seconds()) + STOP_MARGIN_SECONDS,
        log_level=LogLevels.error,
    )


if __name__ == "__main__":
    raise SystemExit(main())
