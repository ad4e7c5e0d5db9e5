"""One exchange with Stripe through the SDK: no repetition, no waiting; answers and errors as plain values."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import stripe
from requests.utils import should_bypass_proxies
from urllib3.exceptions import NewConnectionError

from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.errors import OutcomeUnknown, StripeRefused, StripeUnavailable, map_error_answer

API_VERSION = "2026-10-28.endive"
"""The version this release is written for; sent with every call and stored with every intent."""

PRODUCTION_BASE = "https://api.stripe.com"
CONNECT_TIMEOUT_SECONDS = 5.0

VERSION_MARGIN = timedelta(seconds=1)
"""An event of the second in which the request started may be missing in the answer (ARCHITECTURE §3)."""

_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

# Telemetry would write a file into the home directory (STRIPE.md, “Client”).
stripe.enable_telemetry = False


@dataclass(frozen=True, slots=True)
class Retrieved:
    """One object as Stripe answered it.

    Shape: `observed_at` is the version a mirror row may claim: Stripe's clock at the start of the request minus 1 s.
    """

    data: dict[str, Any]
    observed_at: datetime
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `name` is its operation in logs, budgets and figures."""

    name: str
    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    account_id: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    base: str = "api"

    @property
    def is_change(self) -> bool:
        """Say whether it changes something at Stripe: whatever does carries our key."""
        return "idempotency_key" in self.options


@dataclass(slots=True)
class Exchange:
    """What one exchange came to: `result` is the answer or our error, `status` what the log says."""

    result: Retrieved | Exception
    status: int | str
    request_id: str | None
    ms: float


class UndatedAnswerError(ValueError):
    """An answer carries no readable date."""


class Transport:
    """Sends requests; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._client = _build_client(settings)

    def send(self, request: Request) -> Exchange:
        """Exchange one request for an answer or an error of ours."""
        started = time.perf_counter()
        status: int | str = "no_answer"
        headers: dict[str, str] = {}
        arguments = {key: value for key, value in request.params.items() if value is not None}
        arguments |= {**request.options, "base": request.base}
        if request.account_id:
            arguments["stripe_account"] = request.account_id
        result: Retrieved | Exception
        try:
            answer = self._client.raw_request(request.method, request.path, **arguments)
            status, headers = answer.code, _lower(answer.headers)
            result = _retrieved(answer.body, headers, time.perf_counter() - started)
        except UndatedAnswerError as error:
            result = (OutcomeUnknown if request.is_change else StripeUnavailable)(f"{request.name}: {error}")
        except stripe.StripeError as error:
            status, headers = error.http_status or status, _lower(error.headers)
            result = _mapped(error, headers, is_change=request.is_change, operation=request.name)
            result.__cause__ = error
        ms = round((time.perf_counter() - started) * 1000, 1)
        return Exchange(result, status, headers.get("request-id"), ms)


def _build_client(settings: Settings) -> stripe.StripeClient:
    base = settings.stripe_api_base.rstrip("/")
    elsewhere = {} if base == PRODUCTION_BASE else dict.fromkeys(("api", "connect", "files", "meter_events"), base)
    return stripe.StripeClient(
        settings.stripe_secret_key.get_secret_value(),
        stripe_version=API_VERSION,
        base_addresses=elsewhere,  # type: ignore[arg-type] # a TypedDict of these four names
        max_network_retries=0,
        http_client=stripe.RequestsClient(
            timeout=(CONNECT_TIMEOUT_SECONDS, settings.api_timeout.total_seconds()), session=_session(base, settings)
        ),
    )


def _session(base: str, settings: Settings) -> requests.Session:
    """Build the session, with the proxies that the settings name and no others.

    The sandbox on this machine is never behind a proxy.
    """
    session = requests.Session()
    session.trust_env = False
    is_local = urlsplit(base).hostname in _LOCAL_HOSTS
    if not is_local and not should_bypass_proxies(base, no_proxy=settings.no_proxy or None):
        proxies = {"http": settings.http_proxy, "https": settings.https_proxy or settings.http_proxy}
        session.proxies = {scheme: url for scheme, url in proxies.items() if url}
    return session


def _retrieved(body: str, headers: Mapping[str, str], elapsed_seconds: float) -> Retrieved:
    return Retrieved(
        data=json.loads(body),
        observed_at=observed_at(headers.get("date", ""), elapsed_seconds),
        request_id=headers.get("request-id"),
    )


def observed_at(date_header: str, elapsed_seconds: float) -> datetime:
    """Compute the version of a snapshot: Stripe's clock when the request started, minus one second.

    Whatever happened in an earlier second than this one is in the snapshot; a later event may be missing in it.
    """
    try:
        answered_at = parsedate_to_datetime(date_header).astimezone(UTC)
    except ValueError:
        raise UndatedAnswerError(
            "Stripe's answer has no readable Date header, so its place among the events is unknown: "
            "check that no proxy strips it"
        ) from None
    return answered_at - timedelta(seconds=math.floor(elapsed_seconds)) - VERSION_MARGIN


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def _mapped(error: stripe.StripeError, headers: dict[str, str], *, is_change: bool, operation: str) -> Exception:
    if isinstance(error, stripe.APIConnectionError):
        said = f"{operation}: no answer from Stripe ({type(error.__cause__).__name__})"
        if is_change and not _never_sent(error.__cause__):
            return OutcomeUnknown(said)
        return StripeUnavailable(said)
    if error.http_status is None:
        return StripeRefused(f"{operation}: {error}", code=error.code, param=None, request_id=None)
    body = error.json_body if isinstance(error.json_body, dict) else {}
    details = body.get("error")
    return map_error_answer(
        status=error.http_status,
        error=details if isinstance(details, dict) else {},
        headers=headers,
        is_change=is_change,
        operation=operation,
    )


def _never_sent(cause: BaseException | None) -> bool:
    """Say whether no byte of the request left: only then is the outcome of a change known."""
    if isinstance(cause, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(cause.args[0], "reason", None) if cause is not None and cause.args else None
    return isinstance(reason, NewConnectionError)
