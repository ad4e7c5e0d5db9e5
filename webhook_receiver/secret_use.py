"""How many deliveries each signing secret verified: counted in memory, written once a second, never per delivery."""

from __future__ import annotations

import threading
from datetime import timedelta

import psycopg2
import structlog

from billing_worker.inbox.delivery_writer import Connect
from billing_worker.inbox.secrets import fingerprint_of
from billing_worker.kernel.errors import TerminalError

FLUSH_SECONDS = 1.0
"""The longest time by which `webhook show-secret` lags behind; a killed process loses as much of its counts."""

_ADD = """
INSERT INTO billing.billing_webhook_secrets AS secret (fingerprint, deliveries, first_used_at, last_used_at)
SELECT one.fingerprint, one.deliveries, now, now
FROM unnest(%s::text[], %s::bigint[]) AS one (fingerprint, deliveries), (
    SELECT clock_timestamp() + make_interval(secs =>
        coalesce((SELECT offset_seconds FROM billing.billing_clock WHERE id = 1), 0)) AS now) AS moment
ORDER BY one.fingerprint
ON CONFLICT (fingerprint) DO UPDATE SET
    deliveries = secret.deliveries + excluded.deliveries, last_used_at = excluded.last_used_at
"""

_log = structlog.get_logger(__name__)


class SecretUse:
    """Counters by secret and the thread that adds them to their rows."""

    def __init__(self, connect: Connect, secrets: tuple[str, ...]) -> None:
        self._connect = connect
        self._fingerprints = [fingerprint_of(secret) for secret in secrets]
        self._counts = [0] * len(secrets)
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def count(self, index: int) -> None:
        """Note that a secret verified one delivery."""
        with self._changed:
            self._counts[index] += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="secret-use", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self, timeout: timedelta) -> None:
        """Write what is left and end."""
        self._stopped.set()
        with self._changed:
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout.total_seconds())

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self._changed:
                while not any(self._counts) and not self._stopped.is_set():
                    self._changed.wait()
            self._flush()
            self._stopped.wait(FLUSH_SECONDS)
        self._flush()

    def _flush(self) -> None:
        with self._changed:
            counts, self._counts = self._counts, [0] * len(self._counts)
        used = [(name, count) for name, count in zip(self._fingerprints, counts, strict=True) if count]
        if not used:
            return
        try:
            connection = self._connect()
            try:
                with connection.cursor() as cursor:
                    cursor.execute(_ADD, ([name for name, _ in used], [count for _, count in used]))
            finally:
                connection.close()
        except (psycopg2.Error, TerminalError) as error:
            _log.info("secret_use_unwritten", error=" ".join(str(error).split()))
            with self._changed:
                self._counts = [old + new for old, new in zip(self._counts, counts, strict=True)]
