"""`python -m billing_worker.http_api`: check, bind BILLING_API_HOST:PORT, serve until told to stop.

It belongs behind the application's own network or a proxy: keys travel in a header, TLS ends before it.
"""

from __future__ import annotations

import math
import sys

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

from billing_worker.database.engine import build_engine
from billing_worker.http_api.start_check import SERVICE, check_database, check_settings
from billing_worker.kernel.errors import TerminalError
from billing_worker.runtime.logs import configure_logs
from billing_worker.runtime.settings import Settings, load_settings

EXIT_REFUSED = 3
STOP_MARGIN_SECONDS = 5
"""Beyond BILLING_API_TIMEOUT: whoever waits for a commit gets an answer before the worker is killed."""

_log = structlog.get_logger(__name__)


def main() -> int:
    """Serve, or say why not: exit code 3 for what an operator must mend."""
    try:
        settings = load_settings()
        check_settings(settings)
        configure_logs(level=settings.billing_log_level, service=SERVICE)
        engine = build_engine(settings, application_name=f"{SERVICE}-start", pool_size=1)
        check_database(engine, settings)
        engine.dispose()  # the server forks: no connection may be shared with its workers
    except TerminalError as error:
        print(f"{SERVICE}: {error}", file=sys.stderr)  # noqa: T201 - for the person who starts it
        return EXIT_REFUSED
    _log.info("http_api_starting", host=settings.billing_api_host, port=settings.billing_api_port)
    _server(settings).serve()
    return 0


def _server(settings: Settings) -> MPServer:
    return MPServer(
        "billing_worker.http_api.wsgi:build",
        factory=True,
        address=settings.billing_api_host,
        port=settings.billing_api_port,
        interface=Interfaces.WSGI,
        workers=1,  # one writer gathers everybody's records; a second process would halve its groups
        blocking_threads=settings.billing_api_threads,
        http=HTTPModes.http1,
        websockets=False,
        workers_kill_timeout=math.ceil(settings.billing_api_timeout.total_seconds()) + STOP_MARGIN_SECONDS,
        log_level=LogLevels.error,
    )


if __name__ == "__main__":
    raise SystemExit(main())
