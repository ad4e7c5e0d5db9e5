"""The one way to Stripe: reads with retries, changes with our idempotency key, answers as plain values."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import requests
import stripe
import structlog
from urllib3.exceptions import NewConnectionError

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.errors import (
    OutcomeUnknown,
    RateLimited,
    StripeRefused,
    StripeUnavailable,
    map_error_answer,
)
from billing_worker.stripe_gateway.operations import Operation, read_path
from billing_worker.stripe_gateway.priority import Priority

API_VERSION = "2026-10-28.endive"
"""The version this release is written for; sent with every call and stored with every intent."""

PRODUCTION_BASE = "https://api.stripe.com"
CONNECT_TIMEOUT_SECONDS = 5.0
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 8.0
"""Four waits of at most 8 s stay below the soft limit of a task (60 s)."""

V1 = "/v1/"

PAGE_LIMIT = 100
"""Source: Stripe's documentation, “Pagination”: a limit lies between 1 and 100."""

VERSION_MARGIN = timedelta(seconds=1)
"""An event of the second in which the request started may be missing in the answer (ARCHITECTURE §3)."""

_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

_log = structlog.get_logger(__name__)

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
class Page:
    """One page of a list, newest first."""

    data: list[dict[str, Any]]
    has_more: bool
    observed_at: datetime


class UndatedAnswerError(ValueError):
    """An answer carries no readable date."""


class StripeGateway:
    """Calls Stripe; safe to use from several threads.

    Reads are repeated here on 429, 5xx and network errors; changes never are: only their intent repeats them.
    """

    def __init__(self, settings: Settings, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = _build_client(settings)
        self._reads_at_most = settings.stripe_max_retries + 1
        self._wait_grows = settings.stripe_retry_backoff == "exponential"
        self._sleep = sleep
        self.longest_call = timedelta(seconds=CONNECT_TIMEOUT_SECONDS) + 2 * settings.api_timeout
        """A changing call ends within this time: connect, send, and two waits for parts of the answer."""

    def retrieve(
        self, object_type: str, object_id: str, *, expand: Sequence[str] = (), account_id: str = ""
    ) -> Retrieved:
        """Read one object.

        Raises: StripeNotFound, StripeUnavailable, RateLimited, StripeRefused, StripeKeyRejected.
        """
        path = read_path(object_type, quote(object_id, safe=""))
        params = {"expand": list(expand)} if expand else {}
        return self._read(f"{object_type}.retrieve", path, params, account_id)

    def list_page(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        starting_after: str | None = None,
        limit: int = PAGE_LIMIT,
        account_id: str = "",
    ) -> Page:
        """Read one page of a list such as `customers`, `billing/meters` or, as the registry writes it, `/v1/customers`.

        Raises: StripeUnavailable, RateLimited, StripeRefused, StripeKeyRejected.
        """
        wanted = {**(params or {}), "limit": limit, "starting_after": starting_after}
        answer = self._read(f"{path.removeprefix(V1)}.list", V1 + path.removeprefix(V1), wanted, account_id)
        return Page(
            data=list(answer.data.get("data", [])),
            has_more=bool(answer.data.get("has_more")),
            observed_at=answer.observed_at,
        )

    def read(self, path: str, *, params: Mapping[str, Any] | None = None, account_id: str = "") -> Retrieved:
        """Read what is neither an object with an id nor a list, for example `account` or `balance`."""
        return self._read(f"{path}.read", V1 + path.removeprefix(V1), dict(params or {}), account_id)

    def call(
        self,
        operation: Operation,
        params: Mapping[str, Any],
        *,
        idempotency_key: str,
        path_ids: Mapping[str, str] | None = None,
        api_version: str = API_VERSION,
        account_id: str = "",
        priority: Priority = Priority.INTERACTIVE,  # noqa: ARG002
    ) -> Retrieved:
        """Change something at Stripe, once; a repetition is the business of the caller's intent.

        Idempotent by: `idempotency_key`, at Stripe, for at least 24 hours.
        Raises: CardDeclined, StripeRefused, StripeNotFound, StripeKeyRejected (nothing more can happen under this key);
        RateLimited, StripeUnavailable (it did not happen); OutcomeUnknown (repeat with the same key, or look it up).
        """
        if "usage" in params:
            # The SDK's raw_request keeps this name for itself and would drop the parameter silently.
            raise InvalidValueError("`usage` cannot be sent: leave it out, Stripe's default is off_session")
        ids = {name: quote(value, safe="") for name, value in (path_ids or {}).items()}
        path = operation.path.format(**ids)
        options = {"idempotency_key": idempotency_key, "stripe_version": api_version}
        return self._exchange(operation.name, operation.method, path, params, account_id, options, operation.base)

    def _read(self, name: str, path: str, params: Mapping[str, Any], account_id: str) -> Retrieved:
        for attempt in range(1, self._reads_at_most + 1):
            try:
                return self._exchange(name, "get", path, params, account_id, {}, "api")
            except (RateLimited, StripeUnavailable) as error:
                if attempt == self._reads_at_most:
                    raise
                self._sleep(self._wait_seconds(attempt, getattr(error, "retry_after_seconds", None)))
        raise AssertionError("unreachable: the last error was raised")

    def _wait_seconds(self, attempt: int, wished: float | None) -> float:
        if wished is not None:
            return min(wished, LONGEST_WAIT_SECONDS)
        longest = FIRST_WAIT_SECONDS * (2 ** (attempt - 1) if self._wait_grows else 1)
        # Full jitter on the upper half: processes that were refused together do not come back together.
        return min(longest, LONGEST_WAIT_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

    def _exchange(
        self,
        name: str,
        method: str,
        path: str,
        params: Mapping[str, Any],
        account_id: str,
        options: Mapping[str, str],
        base: str,
    ) -> Retrieved:
        started = time.perf_counter()
        status: int | str = "no_answer"
        headers: dict[str, str] = {}
        arguments = {key: value for key, value in params.items() if value is not None} | {**options, "base": base}
        if account_id:
            arguments["stripe_account"] = account_id
        try:
            answer = self._client.raw_request(method, path, **arguments)
            status, headers = answer.code, _lower(answer.headers)
            return _retrieved(answer.body, headers, time.perf_counter() - started)
        except UndatedAnswerError as error:
            raise (StripeUnavailable if method == "get" else OutcomeUnknown)(f"{name}: {error}") from error
        except stripe.StripeError as error:
            status, headers = error.http_status or status, _lower(error.headers)
            raise _mapped(error, headers, is_change=method != "get", operation=name) from error
        finally:
            _log.info(
                "stripe_call",
                operation=name,
                status=status,
                ms=round((time.perf_counter() - started) * 1000, 1),
                request_id=headers.get("request-id"),
            )


def _build_client(settings: Settings) -> stripe.StripeClient:
    base = settings.stripe_api_base.rstrip("/")
    session = requests.Session() if urlsplit(base).hostname in _LOCAL_HOSTS else None
    if session is not None:
        # The sandbox on this machine is never behind the environment's proxy; Stripe itself may be.
        session.trust_env = False
    elsewhere = {} if base == PRODUCTION_BASE else dict.fromkeys(("api", "connect", "files", "meter_events"), base)
    return stripe.StripeClient(
        settings.stripe_secret_key.get_secret_value(),
        stripe_version=API_VERSION,
        base_addresses=elsewhere,  # type: ignore[arg-type] # a TypedDict of these four names
        max_network_retries=0,
        http_client=stripe.RequestsClient(
            timeout=(CONNECT_TIMEOUT_SECONDS, settings.api_timeout.total_seconds()), session=session
        ),
    )


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
