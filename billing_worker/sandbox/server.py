"""HTTP/1.1 with connections that stay open, a thread for each."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from billing_worker.sandbox.api import Api, Request, Response
from billing_worker.sandbox.control import Control
from billing_worker.sandbox.core.errors import ApiError
from billing_worker.sandbox.core.faults import Ending
from billing_worker.sandbox.core.wire import encode_json
from billing_worker.sandbox.core.world import World
from billing_worker.sandbox.disturbed import DisturbedApi

MAX_BODY_BYTES = 4 * 1024 * 1024
_IDLE_SECONDS = 75
_POLL_SECONDS = 0.1

log = logging.getLogger("sandbox")


class SandboxServer(ThreadingHTTPServer):
    """The listening socket and what its requests need."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], world: World) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.world = world
        self.api = DisturbedApi(Api(world))
        self.control = Control(world, self.api)
        self._stopping = threading.Event()
        self._is_closed = threading.Event()
        self._refuse_seconds = 0.0
        super().__init__(address, _Handler)

    def serve(self) -> None:
        """Serve until `stop`; a refusal of connections is a pause of listening."""
        self.serve_forever(poll_interval=_POLL_SECONDS)
        while not self._stopping.is_set():
            self.socket.close()
            self._is_closed.set()
            self._stopping.wait(self._refuse_seconds)
            self.socket = socket.socket(self.address_family, self.socket_type)
            self.server_bind()
            self.server_activate()
            self._refuse_seconds = 0.0
            self._is_closed.clear()
            self.serve_forever(poll_interval=_POLL_SECONDS)
        self.server_close()

    def stop(self) -> None:
        """End `serve`, from another thread."""
        self._stopping.set()
        self.shutdown()

    def refuse(self, seconds: float) -> None:
        """Stop listening for a time; connections that are open break at their next request."""
        self._refuse_seconds = seconds
        self.shutdown()
        self._is_closed.wait()

    @property
    def is_refusing(self) -> bool:
        """Tell whether nobody listens at present."""
        return self._refuse_seconds > 0

    def hold(self, seconds: float) -> None:
        """Let an answer wait, unless the server ends meanwhile."""
        self._stopping.wait(seconds)

    def handle_error(self, request: object, client_address: object) -> None:
        """Log a broken connection in one line; it is the client's affair."""
        log.info("connection ended early: %s %s", type(request).__name__, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS
    server: SandboxServer

    def do_GET(self) -> None:
        """Answer a GET."""
        self._handle()

    do_HEAD = do_POST = do_DELETE = do_PUT = do_PATCH = do_OPTIONS = do_GET  # noqa: N815 - http.server's names

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no HTTP that this server speaks as everything else is answered: in JSON."""
        self.close_connection = True
        self._send(_refusal(code, f"{message or self.responses[code][0]}{f' ({explain})' if explain else ''}"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited signature
        """Leave the log to `_handle`: the inherited line would show query strings."""

    def _handle(self) -> None:
        started = time.perf_counter()
        path, _, query = self.path.partition("?")
        if self.server.is_refusing:
            self._reset()
            return
        response = self._answer(path, query)
        if response.ending is Ending.REFUSAL:
            self.server.refuse(response.hold_seconds)
        elif response.hold_seconds:
            self.server.hold(response.hold_seconds)
        if response.ending is Ending.ANSWER:
            self._send(response)
        elif response.ending is Ending.SILENCE:
            self.close_connection = True
        else:
            self._reset()
        elapsed_ms = (time.perf_counter() - started) * 1000
        outcome = str(response.status) if response.ending is Ending.ANSWER else response.ending.value
        log.info("%s %s %s %.1f ms", self.command, path, outcome, elapsed_ms)

    def _send(self, response: Response) -> None:
        head = [
            f"HTTP/1.1 {response.status} {self.responses.get(response.status, ('Unknown',))[0]}",
            "Server: nself-sandbox",
            # The sandbox's time, because readers take a snapshot's version from it.
            f"Date: {formatdate(self.server.world.clock.now(), usegmt=True)}",
            "Content-Type: application/json",
            "Cache-Control: no-cache, no-store",
            f"Content-Length: {len(response.body)}",
            *(f"{name}: {value}" for name, value in response.headers.items()),
        ]
        if self.close_connection:
            head.append("Connection: close")
        body = b"" if self.command == "HEAD" else response.body
        self.wfile.write("\r\n".join([*head, "", ""]).encode("latin-1", "replace") + body)

    def _reset(self) -> None:
        # Closing at once, with nothing left to send, makes the kernel answer with a reset in place of an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def _answer(self, path: str, query: str) -> Response:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_BODY_BYTES or "chunked" in self.headers.get("Transfer-Encoding", ""):
            # The body stays unread, so the connection cannot be used again.
            self.close_connection = True
            return _refusal(413, f"Request bodies need a Content-Length of at most {MAX_BODY_BYTES} bytes.")
        headers = {name.lower(): value for name, value in self.headers.items()}
        method = "GET" if self.command == "HEAD" else self.command
        request = Request(method, path, query, headers, self.rfile.read(length))
        answerer = self.server.control if path.startswith("/_sandbox/") else self.server.api
        try:
            return answerer.answer(request)
        except Exception:  # the edge: whatever goes wrong inside becomes a 500 and a traceback in the log
            log.exception("%s %s failed", self.command, path)
            return _refusal(500, "An unexpected error occurred in the sandbox; its log has the traceback.")


def _refusal(status: int, message: str) -> Response:
    kind = "api_error" if status >= 500 else "invalid_request_error"  # noqa: PLR2004 - HTTP's own classes
    return Response(status, encode_json(ApiError(message, status=status, kind=kind).body()), {})
