"""`POST /webhooks/stripe`: nothing is done before the signature is checked, nothing is answered before the commit."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import IO

import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from billing_worker.inbox.group_commit import GroupCommit, NotStoredError
from billing_worker.inbox.intake import Delivery, read_delivery
from billing_worker.inbox.services.store_deliveries import StoredDelivery
from billing_worker.inbox.states import EventStatus
from billing_worker.stripe_gateway.signature import (
    MalformedHeaderError,
    NoMatchingSignatureError,
    NoSignatureError,
    SignatureError,
    TimestampOutsideToleranceError,
    verify_signature,
)
from webhook_receiver.metrics import IntakeMetrics

MAX_BODY_BYTES = 1024 * 1024
"""Stripe's largest events are some hundred kilobytes."""

DISCARD_BYTES = 8 * MAX_BODY_BYTES
"""A refused body is read this far, because a client that is still sending when we close never sees the 413."""

DISCARD_STEP = 64 * 1024
RETRY_AFTER_SECONDS = 5

_REASONS: dict[type[SignatureError], str] = {
    NoSignatureError: "no_signature",
    MalformedHeaderError: "malformed_header",
    TimestampOutsideToleranceError: "timestamp_outside_tolerance",
    NoMatchingSignatureError: "no_matching_signature",
}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WebhookEndpoint:
    """What handles one delivery from its bytes to its answer."""

    intake: GroupCommit
    metrics: IntakeMetrics
    secrets: tuple[str, ...]
    livemode: bool

    def blueprint(self) -> Blueprint:
        """Offer the endpoint under the address of the documentation and its short form."""
        routes = Blueprint("stripe_webhook", __name__)
        for rule in ("/webhooks/stripe", "/webhook"):
            routes.add_url_rule(
                rule, view_func=self.receive, methods=["POST"], endpoint=rule.strip("/").replace("/", "_")
            )
        return routes

    def receive(self) -> Response:
        """Verify, store, answer."""
        started = time.perf_counter()
        try:
            body = _read_body()
        except RequestEntityTooLarge:
            _discard(request.environ["wsgi.input"])
            return self._reject("body_too_large", f"the body is larger than {MAX_BODY_BYTES} bytes", status=413)
        except ClientDisconnected:
            return self._reject("body_incomplete", "the body ended before its announced length")
        try:
            secret = verify_signature(body, request.headers.get("Stripe-Signature"), self.secrets, now=int(time.time()))
        except SignatureError as error:
            return self._reject(_REASONS[type(error)], f"webhook signature: {error}")
        self.metrics.secrets.labels(str(secret)).inc()
        delivery = read_delivery(body, livemode=self.livemode)
        try:
            stored = self.intake.store(delivery)
        except NotStoredError as error:
            return self._postpone(delivery, error, started)
        return self._accept(delivery, stored, started)

    def _accept(self, delivery: Delivery, stored: StoredDelivery, started: float) -> Response:
        outcome = _outcome(stored)
        elapsed = time.perf_counter() - started
        self.metrics.deliveries.labels(outcome).inc()
        self.metrics.seconds.observe(elapsed)
        extra = {"reason": delivery.reason} if delivery.reason else {}
        _log.info(
            "webhook_received",
            event_id=stored.key.event_id,
            type=delivery.type,
            outcome=outcome,
            lane=stored.lane,
            ms=round(elapsed * 1000, 1),
            **extra,
        )
        return _answer(200, {"received": True, "outcome": outcome})

    def _postpone(self, delivery: Delivery, error: NotStoredError, started: float) -> Response:
        elapsed = time.perf_counter() - started
        self.metrics.deliveries.labels(error.reason).inc()
        self.metrics.seconds.observe(elapsed)
        _log.warning(
            "webhook_postponed",
            event_id=ascii(delivery.event_id),
            type=delivery.type,
            reason=error.reason,
            error=str(error),
            ms=round(elapsed * 1000, 1),
        )
        response = _answer(503, {"received": False, "reason": error.reason})
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response

    def _reject(self, reason: str, message: str, *, status: int = 400) -> Response:
        self.metrics.deliveries.labels(reason).inc()
        _log.warning("webhook_rejected", reason=reason, error=message, remote=request.remote_addr)
        # The message stays in the log: it tells of our clock and secrets.
        return _answer(status, {"received": False, "reason": reason})


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


def _answer(status: int, body: dict[str, object]) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
