"""The Stripe API itself: from a request to its answer, in one transaction of the world."""

from __future__ import annotations

import contextlib
import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from billing_worker.sandbox.core.documents import API_VERSION, Document, public
from billing_worker.sandbox.core.errors import ApiError, unauthorized, unknown_url
from billing_worker.sandbox.core.expansion import expand
from billing_worker.sandbox.core.faults import Ending
from billing_worker.sandbox.core.idempotency import StoredAnswer, fingerprint
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.legacy import modernised
from billing_worker.sandbox.core.routes import Call, Route, Router
from billing_worker.sandbox.core.session import Origin, Session
from billing_worker.sandbox.core.wire import decode_form, encode_json
from billing_worker.sandbox.core.world import World
from billing_worker.sandbox.operations import (
    catalog,
    customers,
    invoices,
    meters,
    payment_methods,
    payments,
    search,
    subscriptions,
    test_clocks,
    webhooks,
)
from billing_worker.sandbox.operations.further import FURTHER, FURTHER_INCLUDABLES, HOSTED
from billing_worker.stripe_gateway.schema import ParameterError, operation

_KEY = re.compile(r"(?:sk|rk)_test_\w{2,}")
_LIVE = re.compile(r"(?:sk|rk)_live_")

TABLES = [
    customers.OPERATIONS,
    payment_methods.OPERATIONS,
    catalog.OPERATIONS,
    payments.OPERATIONS,
    subscriptions.OPERATIONS,
    invoices.OPERATIONS,
    meters.OPERATIONS,
    webhooks.OPERATIONS,
    test_clocks.OPERATIONS,
    search.OPERATIONS,
    *FURTHER,
]
INCLUDABLES = {
    ("charge", "refunds"): payments.refunds_of,
    ("customer", "subscriptions"): customers.subscriptions_of,
    ("invoice", "payments"): invoices.payments_of,
    ("invoice", "confirmation_secret"): invoices.confirmation_secret_of,
} | FURTHER_INCLUDABLES


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Shape: header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer. Units: `hold_seconds` passes before it ends as `ending` says."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    ending: Ending = Ending.ANSWER
    hold_seconds: float = 0.0


class Api:
    """Answers requests under /v1 and /v2."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._router = Router([*TABLES, HOSTED])

    def endpoint_of(self, request: Request) -> str:
        """Name the operation that a request is for, ids left out."""
        found = self._router.find(request.method, request.path)
        return request.path if found is None else found[0].path

    def answer(self, request: Request, *, spoiled_by: ApiError | None = None) -> Response:
        """Answer a request; every refusal has Stripe's shape.

        Shape: `spoiled_by` is answered, and kept under the idempotency key, in place of what really happened.
        """
        request_id = new_id("request")
        headers = {"Request-Id": request_id, "Stripe-Version": request.headers.get("stripe-version", API_VERSION)}
        key = request.headers.get("idempotency-key", "") if request.method == "POST" else ""
        if key:
            headers["Idempotency-Key"] = key
        try:
            status, body, replayed_from = self._answer(request, request_id, key, spoiled_by)
        except ApiError as error:
            status, body, replayed_from = error.status, encode_json(error.body()), None
        if replayed_from is not None:
            headers |= {"Idempotent-Replayed": "true", "Original-Request": replayed_from, "Request-Id": replayed_from}
        return Response(status, body, headers)

    def _answer(
        self, request: Request, request_id: str, key: str, spoiled_by: ApiError | None
    ) -> tuple[int, bytes, str | None]:
        check_key(request.headers.get("authorization", ""))
        found = self._router.find(request.method, request.path)
        if found is None:
            raise unknown_url(request.method, request.path)
        route, ids = found
        raw = _raw_params(request)
        params = _decode(route, raw, is_pinned="stripe-version" in request.headers)
        with self._world.keys.claim(key) if key else contextlib.nullcontext(), self._world.lock:
            self._world.catch_up()
            mark = fingerprint(request.method, request.path, raw)
            stored = self._world.keys.find(key, mark, self._world.clock.now()) if key else None
            if stored is not None:
                return stored.status, stored.body.encode(), stored.request_id
            session = self._world.session(Origin(request_id, key or None))
            call = Call(session, tuple(map(unquote, ids)), params, self._world.account_id, self._world.log)
            status, body = self._run(route, call)
            if spoiled_by is not None:
                status, body = spoiled_by.status, encode_json(spoiled_by.body())
            answer = StoredAnswer(key, mark, status, body.decode(), request_id, session.recorded_at) if key else None
            self._world.commit(session, answer)
            return status, body, None

    def _run(self, route: Route, call: Call) -> tuple[int, bytes]:
        session = call.session
        try:
            route.check_simulated(call.params)
            document = public(route.handler(call))
            session.check_clock_is_ready()
            expand(document, call.params.get("expand") or [], session, INCLUDABLES)
        except ApiError as error:
            if not error.keeps_changes:
                _forget(session)
            return error.status, encode_json(error.body())
        return 200, encode_json(document)


def check_key(authorization: str) -> None:
    """Accept any test key of the right form.

    Raises: ApiError 401; a live key is refused by name, so that nobody sends one here twice.
    """
    key = key_in(authorization)
    if not key:
        raise unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if _LIVE.match(key):
        raise unauthorized("This is a sandbox: live keys do not belong here. Roll the key you have just sent.")
    if not _KEY.fullmatch(key):
        raise unauthorized(f"Invalid API Key provided: {key[:8]}****")


def key_in(authorization: str) -> str:
    """Read the API key out of a header, empty without one."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        return _basic_user(value.strip())
    return value.strip() if scheme.lower() == "bearer" else ""


def _basic_user(encoded: str) -> str:
    try:
        return b64decode(encoded, validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


def _raw_params(request: Request) -> dict[str, Any]:
    raw = decode_form(request.query)
    if request.method == "POST" and request.body:
        try:
            raw |= decode_form(request.body.decode())
        except UnicodeDecodeError as error:
            raise ApiError("Invalid request body: it is not UTF-8.") from error
    return raw


def _decode(route: Route, raw: dict[str, Any], *, is_pinned: bool) -> dict[str, Any]:
    if not route.is_published:
        return raw
    known = operation(route.method, route.path)
    if known is None:
        raise unknown_url(route.method, route.path)
    current, kept = (raw, {}) if is_pinned else modernised(route.method, route.path, raw)
    try:
        return known.decode(current) | kept
    except ParameterError as error:
        raise ApiError(str(error), param=error.param, code=error.code) from error


def _forget(session: Session) -> None:
    session.changed.clear()
    session.removed.clear()
    session.events.clear()


def decode_json_object(body: bytes) -> Document:
    """Read a JSON object.

    Raises: ApiError 400 for anything else.
    """
    try:
        document = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ApiError(f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ApiError("The body must be a JSON object.")
    return document
