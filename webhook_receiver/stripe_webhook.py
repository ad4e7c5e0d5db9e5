"""`POST /webhooks/stripe`: nothing is done before the signature is checked, nothing is answered before the commit."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Any

import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from billing_worker.database.group_commit import NotStoredError
from billing_worker.inbox.delivery_writer import Intake
from billing_worker.inbox.intake import Delivery, read_delivery
from billing_worker.inbox.probe import DIGEST_HEADER, is_probe
from billing_worker.inbox.services.store_deliveries import StoredDelivery
from billing_worker.inbox.states import EventStatus
from billing_worker.runtime.logs import LineLog
from billing_worker.stripe_gateway.signature import (
    MalformedHeaderError,
    NoMatchingSignatureError,
    NoSignatureError,
    SignatureError,
    TimestampOutsideToleranceError,
    verify_signature,
)
from webhook_receiver.answers import JSON, answer
from webhook_receiver.callers import Callers
from webhook_receiver.metrics import IntakeMetrics
from webhook_receiver.secret_use import SecretUse

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ADDRESSES = ("/webhooks/stripe", "/webhook")
"""The address of the documentation and its short form."""

MAX_BODY_BYTES = 1024 * 1024
"""Stripe's largest events are some hundred kilobytes."""

DISCARD_BYTES = 8 * MAX_BODY_BYTES
"""A refused body is read this far, because a client that is still sending when we close never sees the 413."""

DISCARD_STEP = 64 * 1024

_REASONS: dict[type[SignatureError], str] = {
    NoSignatureError: "no_signature",
    MalformedHeaderError: "malformed_header",
    TimestampOutsideToleranceError: "timestamp_outside_tolerance",
    NoMatchingSignatureError: "no_matching_signature",
}

_log = structlog.get_logger(__name__)


class AwaitedAnswer(Response):
    """The answer to a verified delivery: not known before its commit.

    Shape: a WSGI server calls it and waits on its thread; the front takes `delivery` and waits for many at once.
    """

    def __init__(self, endpoint: WebhookEndpoint, delivery: Delivery, started: float) -> None:
        super().__init__(content_type=JSON)
        self.endpoint = endpoint
        self.delivery = delivery
        self.started = started

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Store, wait, and answer in WSGI's way."""
        try:
            stored = self.endpoint.intake.store(self.delivery, size_bytes=len(self.delivery.body))
        except NotStoredError as error:
            settled = self.endpoint.postpone(self, error)
        else:
            settled = self.endpoint.accept(self, stored)
        return settled(environ, start_response)


@dataclass(frozen=True)
class WebhookEndpoint:
    """What handles one delivery from its bytes to its answer."""

    intake: Intake
    metrics: IntakeMetrics
    secrets: tuple[str, ...]
    secret_use: SecretUse
    callers: Callers
    lines: LineLog
    livemode: bool

    def blueprint(self) -> Blueprint:
        """Offer the endpoint under its addresses."""
        routes = Blueprint("stripe_webhook", __name__)
        for rule in ADDRESSES:
            routes.add_url_rule(
                rule, view_func=self.receive, methods=["POST"], endpoint=rule.strip("/").replace("/", "_")
            )
        return routes

    def receive(self) -> Response:
        """Check where the delivery comes from, then its signature; all that is left is to store it."""
        started = time.perf_counter()
        caller = self.callers.name(request.remote_addr, request.headers.get("X-Forwarded-For"))
        refused = self.refuse_caller(caller)
        if refused is not None:
            return refused
        try:
            body = _read_body()
        except RequestEntityTooLarge:
            _discard(request.environ["wsgi.input"])
            return self.reject("body_too_large", f"the body is larger than {MAX_BODY_BYTES} bytes", caller, status=413)
        except ClientDisconnected:
            return self.reject("body_incomplete", "the body ended before its announced length", caller)
        now = int(time.time())
        try:
            secret = verify_signature(body, request.headers.get("Stripe-Signature"), self.secrets, now=now)
        except SignatureError as error:
            return self._refuse_signature(error, body, caller, now)
        self.metrics.secrets.labels(str(secret)).inc()
        delivery = read_delivery(body, livemode=self.livemode)
        if is_probe(delivery):
            return self._answer_probe(body, secret, now)
        self.secret_use.count(secret)
        return AwaitedAnswer(self, delivery, started)

    def accept(self, awaited: AwaitedAnswer, stored: StoredDelivery) -> Response:
        """Answer a delivery that is a row."""
        outcome, delivery = _outcome(stored), awaited.delivery
        elapsed = time.perf_counter() - awaited.started
        self.metrics.count_delivery(outcome, elapsed)
        extra = {"reason": delivery.reason} if delivery.reason else {}
        self.lines.info(
            "webhook_received",
            event_id=stored.key.event_id,
            type=delivery.type,
            outcome=outcome,
            lane=stored.lane,
            ms=round(elapsed * 1000, 1),
            **extra,
        )
        return answer(200, {"received": True, "outcome": outcome})

    def postpone(self, awaited: AwaitedAnswer, error: NotStoredError) -> Response:
        """Answer a delivery that is not known to be a row: Stripe sends it again."""
        elapsed, delivery = time.perf_counter() - awaited.started, awaited.delivery
        self.metrics.count_delivery(error.reason, elapsed)
        _log.warning(
            "webhook_postponed",
            event_id=ascii(delivery.event_id),
            type=delivery.type,
            reason=error.reason,
            error=str(error),
            ms=round(elapsed * 1000, 1),
        )
        return answer(503, {"received": False, "reason": error.reason})

    def refuse_caller(self, caller: str | None) -> Response | None:
        """Refuse an address that may not deliver, before anything of its body is read."""
        if self.callers.is_allowed(caller):
            return None
        return self.reject("address_not_allowed", "this is none of Stripe's addresses", caller, status=403)

    def reject(
        self, reason: str, message: str, caller: str | None, *, status: int = 400, skew_seconds: int | None = None
    ) -> Response:
        """Refuse a request without work; who is refused often is told to slow down and fills no log."""
        self.metrics.deliveries.labels(reason).inc()
        if self.callers.count_refusal(caller):
            facts = {} if skew_seconds is None else {"skew_seconds": skew_seconds}
            _log.warning("webhook_rejected", reason=reason, error=message, remote=caller, **facts)
        elif status == 400:  # noqa: PLR2004 - what a sender cannot mend by waiting keeps its own status
            status = 429
        # The message stays in the log: it tells of our clock and secrets.
        return answer(status, {"received": False, "reason": reason})

    def _refuse_signature(self, error: SignatureError, body: bytes, caller: str | None, now: int) -> Response:
        skew = error.skew_seconds if isinstance(error, TimestampOutsideToleranceError) else None
        response = self.reject(_REASONS[type(error)], f"webhook signature: {error}", caller, skew_seconds=skew)
        if DIGEST_HEADER in request.headers:
            # The sender learns what reached us, which is what it sent or what a proxy made of it; only one whose
            # signature was good learns of our clock.
            told = {**json.loads(response.get_data()), "body_sha256": sha256(body).hexdigest(), "bytes": len(body)}
            if skew is not None:
                told["receiver_time"] = now
            response.set_data(json.dumps(told))
        return response

    def _answer_probe(self, body: bytes, secret: int, now: int) -> Response:
        """Answer a probe of `webhook test-signature` without storing it: it is no event of Stripe's."""
        self.metrics.deliveries.labels("probe").inc()
        _log.info("webhook_probed", secret=secret, bytes=len(body))
        told: dict[str, Any] = {"received": True, "outcome": "probe", "secret": secret, "receiver_time": now}
        return answer(200, {**told, "body_sha256": sha256(body).hexdigest(), "bytes": len(body)})


def _read_body() -> bytes:
    body = request.get_data(cache=False)
    # werkzeug cuts a body without announced length off at the limit, in silence
    if len(body) == MAX_BODY_BYTES and request.content_length is None and request.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge
    return body


def _discard(stream: IO[bytes]) -> None:
    for _ in range(DISCARD_BYTES // DISCARD_STEP):
        if not stream.read(DISCARD_STEP):
            return


def _outcome(stored: StoredDelivery) -> str:
    if not stored.is_new:
        return "redelivered"
    return "quarantined" if stored.status is EventStatus.QUARANTINED else "stored"
