"""The server's side of the receiver: takes bodies in, has Flask judge them, and waits for many commits on one thread.

Source: ADR 0006. Under a plain WSGI server the Flask application works alone, with a thread per waiting request.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, cast

from flask import Flask, Response

from billing_worker.database.group_commit import NotStoredError, Ticket
from billing_worker.inbox.delivery_writer import Intake
from webhook_receiver.bodies import Bodies, Transport, UnreadError
from webhook_receiver.stripe_webhook import ADDRESSES, AwaitedAnswer, WebhookEndpoint

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HEALTH_THREADS = 4
"""Health asks PostgreSQL and Redis; it neither waits for deliveries nor makes them wait."""


_PLAIN_HEADERS = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})


class Headers(Protocol):
    """Request headers, names in lower case."""

    def items(self) -> list[tuple[str, str]]:
        """Return every header line."""
        ...


class Scope(Protocol):
    """What granian tells of a request."""

    client: str
    server: str
    method: str
    path: str
    query_string: str
    scheme: str
    headers: Headers


class Exchange(Transport, Protocol):
    """Granian's protocol object of one request."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer."""
        ...


class Front:
    """The application granian calls, in its RSGI interface."""

    def __init__(self, app: Flask, endpoint: WebhookEndpoint, bodies: Bodies, *, on_stop: Callable[[], None]) -> None:
        self._app = app
        self._endpoint = endpoint
        self._intake: Intake = endpoint.intake
        self._bodies = bodies
        self._on_stop = on_stop
        self._loop: asyncio.AbstractEventLoop
        self._health = ThreadPoolExecutor(HEALTH_THREADS, thread_name_prefix="health")

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Learn the loop that requests are answered on."""
        self._loop = loop

    def __rsgi_del__(self, _loop: asyncio.AbstractEventLoop) -> None:
        """Stop what the answered requests have left running; granian calls it after the last answer."""
        self._health.shutdown()
        self._on_stop()

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request."""
        response = await self._answer(scope, exchange)
        exchange.response_bytes(response.status_code, list(response.headers.items()), response.get_data())

    async def _answer(self, scope: Scope, exchange: Exchange) -> Response:
        environ = build_environ(scope)
        if scope.path not in ADDRESSES:
            return await asyncio.get_running_loop().run_in_executor(self._health, self._judge, environ)
        if scope.method == "POST":
            caller = self._endpoint.callers.name(environ["REMOTE_ADDR"], environ.get("HTTP_X_FORWARDED_FOR"))
            refused = self._endpoint.refuse_caller(caller)
            if refused is not None:
                return refused
            try:
                body = await self._bodies.read(exchange, _announced(environ))
            except UnreadError as error:
                return self._endpoint.reject(error.reason, str(error), caller, status=error.status)
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
            environ.pop("HTTP_TRANSFER_ENCODING", None)  # werkzeug would not believe the length of a body in chunks
        judged = self._judge(environ)
        return await self._commit(judged) if isinstance(judged, AwaitedAnswer) else judged

    def _judge(self, environ: WSGIEnvironment) -> Response:
        """Have Flask handle a request whose body is there."""
        with self._app.request_context(environ):
            try:
                return self._app.full_dispatch_request()
            except Exception as error:  # noqa: BLE001 - dispatch: Flask logs it and answers 500, as its wsgi_app does
                return self._app.handle_exception(error)

    async def _commit(self, awaited: AwaitedAnswer) -> Response:
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()
        try:
            ticket = self._intake.submit(awaited.delivery, self._tell, settled, size_bytes=len(awaited.delivery.body))
            timer = loop.call_later(self._intake.timeout_seconds, _end_wait, settled)
            await settled
            timer.cancel()
            if not ticket.is_settled:
                raise self._intake.abandon(ticket)
            return self._endpoint.accept(awaited, ticket.outcome())
        except NotStoredError as error:
            return self._endpoint.postpone(awaited, error)

    def _tell(self, tickets: Sequence[Ticket[Any, Any]]) -> None:
        """Wake a group's requests, all in one go, from the writer's thread."""
        self._loop.call_soon_threadsafe(_end_waits, tickets)


def build_environ(scope: Scope) -> WSGIEnvironment:
    """Describe a request without body in WSGI's words."""
    host, _, port = scope.server.rpartition(":")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path,
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        key = name.upper().replace("-", "_")
        key = key if key in _PLAIN_HEADERS else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _announced(environ: WSGIEnvironment) -> int | None:
    length: str = environ.get("CONTENT_LENGTH", "")
    return int(length) if length.isdecimal() else None


def _end_wait(settled: asyncio.Future[None]) -> None:
    if not settled.done():
        settled.set_result(None)


def _end_waits(tickets: Sequence[Ticket[Any, Any]]) -> None:
    for ticket in tickets:
        _end_wait(cast("asyncio.Future[None]", ticket.waiter))
