"""One signed POST to a webhook endpoint over a connection that stays open."""

from __future__ import annotations

import http.client
import threading
import time
from urllib.parse import urlsplit

from billing_worker.stripe_gateway.signature import sign_payload

TIMEOUT_SECONDS = 20
"""Stripe gives up on an endpoint after about this time; not documented exactly."""
_SUCCESS = range(200, 300)


class Transport(threading.local):
    """Connections by host, one set per thread."""

    def __init__(self) -> None:
        self._connections: dict[tuple[str, str], http.client.HTTPConnection] = {}

    def post(self, url: str, secret: str, body: bytes) -> bool:
        """Send an event and tell whether it was accepted; any network failure is a no."""
        parts = urlsplit(url)
        key = (parts.scheme, parts.netloc)
        target = parts.path or "/"
        if parts.query:
            target = f"{target}?{parts.query}"
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Accept": "*/*; q=0.5, application/xml",
            # Wall time, because receivers compare it with theirs (ARCHITECTURE §2.6).
            "Stripe-Signature": sign_payload(body, secret, int(time.time())),
        }
        try:
            connection = self._connections.get(key) or self._open(key)
            connection.request("POST", target, body=body, headers=headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException, ValueError):
            self._close(key)
            return False
        if answer.will_close:
            self._close(key)
        return answer.status in _SUCCESS

    def close(self) -> None:
        """Close this thread's connections."""
        for key in list(self._connections):
            self._close(key)

    def _open(self, key: tuple[str, str]) -> http.client.HTTPConnection:
        scheme, netloc = key
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        connection = kind(netloc, timeout=TIMEOUT_SECONDS)
        self._connections[key] = connection
        return connection

    def _close(self, key: tuple[str, str]) -> None:
        connection = self._connections.pop(key, None)
        if connection is not None:
            connection.close()
