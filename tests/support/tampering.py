"""A proxy before the receiver that does what proxies do to deliveries, one thing at a time."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Request = tuple[dict[str, str], bytes]
Tamper = Callable[[dict[str, str], bytes], Request]


def as_it_is(headers: dict[str, str], body: bytes) -> Request:
    return headers, body


def without(name: str) -> Tamper:
    return lambda headers, body: ({key: value for key, value in headers.items() if key.lower() != name.lower()}, body)


def rewritten(headers: dict[str, str], body: bytes) -> Request:
    """Parse the JSON and write it anew, as gateways that inspect bodies do."""
    return headers, json.dumps(json.loads(body)).encode()


@contextmanager
def run_tampering(
    port: int, tamper: Tamper = as_it_is, *, answer: tuple[int, Mapping[str, str], bytes] | None = None
) -> Iterator[str]:
    """Forward what arrives, altered by `tamper`, to a port; or give one `answer` to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if answer is None:
                headers, body = tamper(dict(self.headers.items()), body)
                self._send(*_forward(port, self.path, headers, body))
            else:
                self._send(*answer)

        def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _forward(port: int, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    kept = {name: value for name, value in headers.items() if name.lower() not in {"content-length", "connection"}}
    connection.request("POST", path, body, {**kept, "Connection": "close"})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, {"Content-Type": response.headers.get("Content-Type", "")}, content
