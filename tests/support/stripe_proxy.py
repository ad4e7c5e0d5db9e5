"""A proxy before the sandbox that fails the way networks and Stripe do, on demand."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["none", "drop_answer", "done_but_500", "replayed_500", "too_many", "undated", "unreadable"]

_DROPPED = frozenset({"connection", "transfer-encoding", "content-length", "server"})


class Proxy:
    """Forwards requests; each changing one uses up the next of `faults`, each reading one of `read_faults`."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.faults: list[Fault] = []
        self.read_faults: list[Fault] = []
        self.keys: list[str | None] = []
        self.url = ""

    def next_fault(self, method: str) -> Fault | None:
        waiting = self.read_faults if method == "GET" else self.faults
        return waiting.pop(0) if waiting else None


@contextmanager
def run_proxy(target: str) -> Iterator[Proxy]:
    proxy = Proxy(target)

    class Handler(_Handler):
        forwarding = proxy

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    forwarding: Proxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._forward("GET")

    def do_POST(self) -> None:
        self._forward("POST")

    def do_DELETE(self) -> None:
        self._forward("DELETE")

    def _forward(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.forwarding.next_fault(method)
        if method != "GET":
            self.forwarding.keys.append(self.headers.get("Idempotency-Key"))
        if fault == "too_many":
            self._answer(
                429, {"Retry-After": "0"}, b'{"error": {"code": "rate_limit", "message": "Too many requests"}}'
            )
            return
        if fault == "replayed_500":
            self._answer(500, {"Idempotent-Replayed": "true"}, b'{"error": {"type": "api_error", "message": "again"}}')
            return
        status, headers, answer = self._ask(method, body)
        match fault:
            case "drop_answer":
                self.close_connection = True
            case "done_but_500":
                self._answer(500, {}, b'{"error": {"type": "api_error", "message": "An unknown error occurred"}}')
            case "undated":
                self._answer(status, {name: value for name, value in headers.items() if name != "Date"}, answer)
            case "unreadable":
                self._answer(status, headers, answer[: len(answer) // 2])
            case _:
                self._answer(status, headers, answer)

    def _ask(self, method: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        target = urlsplit(self.forwarding.target)
        connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
        connection.request(method, self.path, body or None, headers)
        answer = connection.getresponse()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _DROPPED}
        content = answer.read()
        connection.close()
        return answer.status, kept, content

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay silent."""
