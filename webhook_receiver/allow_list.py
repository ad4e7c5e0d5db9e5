"""The addresses that may deliver, as this process knows them: the newest row, or what came with the release."""

from __future__ import annotations

import threading

import psycopg2
import structlog

from billing_worker.inbox.addresses import AddressList, shipped_addresses
from billing_worker.inbox.delivery_writer import Connect
from billing_worker.kernel.errors import InvalidValueError, TerminalError

REREAD_SECONDS = 60.0

_ACTIVE = "SELECT networks FROM billing.billing_stripe_addresses WHERE status = 'active'"

_log = structlog.get_logger(__name__)


class AllowList:
    """The list in force, read again every minute; a database that is away changes nothing."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._current = shipped_addresses()
        self._stopped = threading.Event()
        self._read()
        threading.Thread(target=self._run, name="allow-list", daemon=True).start()

    def __call__(self) -> AddressList:
        """Return the list in force."""
        return self._current

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(REREAD_SECONDS):
            self._read()

    def _read(self) -> None:
        try:
            connection = self._connect()
            try:
                with connection.cursor() as cursor:
                    cursor.execute(_ACTIVE)
                    row = cursor.fetchone()
            finally:
                connection.close()
            found = shipped_addresses() if row is None else AddressList(row[0])
        except (psycopg2.Error, TerminalError, InvalidValueError) as error:
            _log.warning("allow_list_unread", error=" ".join(str(error).split()))
            return
        if found.networks != self._current.networks:
            _log.warning("allow_list_changed", networks=found.networks)
            self._current = found
