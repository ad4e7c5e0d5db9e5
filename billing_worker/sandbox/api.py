"""The Stripe API itself: from a request to its answer, in one transaction of the world."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from billing_worker.sandbox.core.access import check_account, check_key, check_version, is_todays, key_in
from billing_worker.sandbox.core.documents import API_VERSION, Document, public
from billing_worker.sandbox.core.errors import ApiError, invalid, unknown_url
from billing_worker.sandbox.core.expansion import expand
from billing_worker.sandbox.core.faults import Ending
from billing_worker.sandbox.core.idempotency import StoredAnswer, fingerprint
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.legacy import modernised
from billing_worker.sandbox.core.routes import Call, Route, Router
from billing_worker.sandbox.core.session import Origin, Session
from billing_worker.sandbox.core.wire import as_form, decode_form, encode_json
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

_WITH_BODY = frozenset({"POST", "DELETE"})
"""What a GET carries in its body is ignored."""

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
INCLUDABLES = customers.INCLUDABLES | {
    ("charge", "refunds"): payments.refunds_of,
    ("invoice", "payments"): invoices.payments_of,
    ("invoice", "confirmation_secret"): invoices.confirmation_secret_of,
    **FURTHER_INCLUDABLES,
}


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
        key = request.headers.get("idempotency-key", "") if request.method == "POST" else ""
        try:
            outcome = self._answer(request, request_id, key, spoiled_by)
        except ApiError as error:
            outcome = _Outcome(error.status, self._rendered(error, request_id), request_id, is_kept=False)
        return Response(outcome.status, outcome.body, _headers(request, outcome, key))

    def _answer(self, request: Request, request_id: str, key: str, spoiled_by: ApiError | None) -> _Outcome:
        self._check_access(request)
        found = self._router.find(request.method, request.path)
        if found is None:
            raise unknown_url(request.method, request.path)
        route, ids = found
        raw = _raw_params(request)
        params = _decode(route, raw, is_pinned=is_todays(request.headers))
        world = self._world
        with world.keys.claim(key) if key else contextlib.nullcontext(), world.lock:
            world.catch_up()
            mark = fingerprint(request.method, request.path, raw)
            stored = world.keys.find(key, mark, request.path, world.clock.now()) if key else None
            if stored is not None:
                return _Outcome(stored.status, stored.body.encode(), stored.request_id, is_kept=True, is_replayed=True)
            session = world.session(Origin(request_id, key or None))
            call = Call(session, tuple(map(unquote, ids)), params, world.account_id, world.log)
            outcome = self._run(route, call, request_id)
            if spoiled_by is not None:
                outcome = _Outcome(spoiled_by.status, self._rendered(spoiled_by, request_id), request_id)
            answer = None
            if key and outcome.is_kept:
                at, body = session.recorded_at, outcome.body.decode()
                answer = StoredAnswer(key, mark, outcome.status, body, request_id, at, request.path)
            world.commit(session, answer)
            return outcome

    def _check_access(self, request: Request) -> None:
        authorization = request.headers.get("authorization", "")
        check_key(authorization)
        check_version(request.headers.get("stripe-version", API_VERSION))
        check_account(
            request.headers.get("stripe-account", ""),
            self._world.account_id,
            key_in(authorization),
            lambda account: self._world.store.find("account", account) is not None,
        )

    def _run(self, route: Route, call: Call, request_id: str) -> _Outcome:
        session = call.session
        try:
            route.check_simulated(call.params)
            document = public(route.handler(call))
            session.check_clock_is_ready()
            expand(document, call.params.get("expand") or [], session, INCLUDABLES)
        except ApiError as error:
            if not error.keeps_changes:
                _forget(session)
            return _Outcome(error.status, self._rendered(error, request_id), request_id, is_kept=error.is_executed)
        return _Outcome(HTTPStatus.OK, encode_json(document), request_id)

    def _rendered(self, error: ApiError, request_id: str) -> bytes:
        if error.status == HTTPStatus.UNAUTHORIZED:
            return encode_json(error.body())
        logs = f"https://dashboard.stripe.com/{self._world.account_id}/test/workbench/logs?object={request_id}"
        return encode_json(error.body(logs))


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a request came to. Shape: `is_kept` says that its idempotency key answers the same from now on."""

    status: int
    body: bytes
    request_id: str
    is_kept: bool = True
    is_replayed: bool = False


def _headers(request: Request, outcome: _Outcome, key: str) -> dict[str, str]:
    version = request.headers.get("stripe-version", API_VERSION)
    headers = {"Request-Id": outcome.request_id, "Stripe-Version": version}
    if outcome.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="Stripe"'
    elif key:
        headers |= {"Idempotency-Key": key, "Original-Request": outcome.request_id}
        if outcome.is_kept:
            # To repeat what is kept would bring the same again: clients are told not to.
            headers["Stripe-Should-Retry"] = "false"
    if outcome.is_replayed:
        headers["Idempotent-Replayed"] = "true"
    return headers


def _raw_params(request: Request) -> dict[str, Any]:
    raw = decode_form(request.query)
    if request.method not in _WITH_BODY or not request.body:
        return raw
    if request.path.startswith("/v2/"):
        given: dict[str, Any] = as_form(decode_json_object(request.body))
        return raw | given
    if request.headers.get("content-type", "").startswith("application/json"):
        raise invalid(
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have any "
            "questions, we can help at https://support.stripe.com/."
        )
    try:
        return raw | decode_form(request.body.decode())
    except UnicodeDecodeError as error:
        raise invalid("Invalid request body: it is not UTF-8.") from error


def _decode(route: Route, raw: dict[str, Any], *, is_pinned: bool) -> dict[str, Any]:
    if not route.is_published:
        return raw
    known = operation(route.method, route.path)
    if known is None:
        raise unknown_url(route.method, route.path)
    has_old_words = not is_pinned or route.path.startswith("/v2/")
    current, kept = (raw, {}) if not has_old_words else modernised(route.method, route.path, raw)
    try:
        return known.decode(current, is_open=not is_pinned) | kept
    except ParameterError as error:
        raise ApiError(str(error), param=error.param, code=error.code) from error


def _forget(session: Session) -> None:
    session.changed.clear()
    session.removed.clear()
    session.events.clear()
    session.notices.clear()


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
