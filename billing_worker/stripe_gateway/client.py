"""The one way to Stripe: reads with retries, changes with our idempotency key, answers as plain values."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import quote

import structlog
from redis import Redis

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.breaker import CircuitBreaker, CircuitOpenError
from billing_worker.stripe_gateway.budget import PATIENCE_SECONDS, BudgetSpentError, CallBudget, Limits
from billing_worker.stripe_gateway.cache import ReadCache
from billing_worker.stripe_gateway.errors import OutcomeUnknown, RateLimited, StripeUnavailable
from billing_worker.stripe_gateway.figures import FigureKeeper
from billing_worker.stripe_gateway.operations import Operation, read_path
from billing_worker.stripe_gateway.priority import Priority
from billing_worker.stripe_gateway.transport import (
    API_VERSION,
    CONNECT_TIMEOUT_SECONDS,
    Exchange,
    Request,
    Retrieved,
    Transport,
)

__all__ = ["API_VERSION", "LONGEST_WAIT_SECONDS", "PAGE_LIMIT", "Page", "Retrieved", "StripeGateway"]

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 8.0
"""Four waits of at most 8 s stay below the soft limit of a task (60 s)."""

CHANGE_PATIENCE = timedelta(seconds=10)
"""A change that Stripe refused unheard is repeated no later than this after its first attempt: its lease must hold."""

V1 = "/v1/"

PAGE_LIMIT = 100
"""Source: Stripe's documentation, “Pagination”: a limit lies between 1 and 100."""

_INNER_ID = re.compile(r"/[a-z]+_\w+(?=/)")
"""An id within a path: limits and figures are by endpoint, not by object."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, newest first."""

    data: list[dict[str, Any]]
    has_more: bool
    observed_at: datetime


class StripeGateway:
    """Calls Stripe; safe to use from several threads.

    Reads are repeated here on 429, 5xx and network errors. Changes are repeated here only after an answer that proves
    that nothing happened (429, a connection never made); anything unclear is repeated by the change's intent alone.
    With Redis the processes of an installation share a call budget, figures and, if it is on, a cache of reads.
    """

    def __init__(
        self, settings: Settings, *, redis: Redis | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._transport = Transport(settings)
        self._attempts_at_most = settings.stripe_max_retries + 1
        self._wait_grows = settings.stripe_retry_backoff == "exponential"
        self._sleep = sleep
        self._figures = FigureKeeper(redis)
        self._budget = CallBudget(Limits.of(settings), redis, sleep=sleep)
        self._breaker = CircuitBreaker(tell=self._figures.tell_circuit)
        self._cache = None
        if redis is not None and settings.stripe_enable_cache:
            self._cache = ReadCache(redis, settings.stripe_cache_ttl)
        self._priority = Priority.INTERACTIVE
        one_call = timedelta(seconds=CONNECT_TIMEOUT_SECONDS) + 2 * settings.api_timeout
        patience = timedelta(seconds=max(PATIENCE_SECONDS[Priority.INTERACTIVE], PATIENCE_SECONDS[Priority.PAYMENTS]))
        self.longest_call = CHANGE_PATIENCE + patience + one_call
        """A changing call ends within this time: room in the budget, repetitions, connect, send, two waits to read."""

    def on_behalf_of(self, priority: Priority) -> Self:
        """Return the same gateway for reads of another priority; budget, circuit and connections are shared."""
        twin = copy(self)
        twin._priority = priority  # noqa: SLF001 - its own
        return twin

    def retrieve(
        self,
        object_type: str,
        object_id: str,
        *,
        expand: Sequence[str] = (),
        account_id: str = "",
        may_be_cached: bool = False,
    ) -> Retrieved:
        """Read one object.

        Shape: `may_be_cached` takes a copy of STRIPE_CACHE_TTL at most where the cache is on: for looking only, never
        for a decision about money.
        Raises: StripeNotFound, StripeUnavailable, RateLimited, StripeRefused, StripeKeyRejected.
        """
        path = read_path(object_type, quote(object_id, safe=""))
        params = {"expand": list(expand)} if expand else {}
        request = Request(f"{object_type}.retrieve", "get", path, params, account_id)
        cache = self._cache if may_be_cached else None
        slot = cache.slot(account_id, object_type, object_id, expand) if cache is not None else None
        if cache is None or slot is None:
            return self._exchange(request, self._priority)
        found = cache.find(slot)
        if found is None:
            found = self._exchange(request, self._priority)
            cache.keep(slot, found)
        return found

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
        short = path.removeprefix(V1)
        name = f"{_INNER_ID.sub('', short)}.list"
        answer = self._exchange(Request(name, "get", V1 + short, wanted, account_id), self._priority)
        return Page(
            data=list(answer.data.get("data", [])),
            has_more=bool(answer.data.get("has_more")),
            observed_at=answer.observed_at,
        )

    def read(self, path: str, *, params: Mapping[str, Any] | None = None, account_id: str = "") -> Retrieved:
        """Read what is neither an object with an id nor a list, for example `account` or `balance`."""
        short = path.removeprefix(V1)
        return self._exchange(Request(f"{short}.read", "get", V1 + short, params or {}, account_id), self._priority)

    def preview_invoice(self, params: Mapping[str, Any], *, account_id: str = "") -> Retrieved:
        """Ask what an invoice would be; Stripe wants a POST for it, and changes nothing.

        Raises: like a read.
        """
        request = Request("invoices.create_preview", "post", "/v1/invoices/create_preview", params, account_id)
        return self._exchange(request, self._priority)

    def call(
        self,
        operation: Operation,
        params: Mapping[str, Any],
        *,
        idempotency_key: str,
        path_ids: Mapping[str, str] | None = None,
        api_version: str = API_VERSION,
        account_id: str = "",
        priority: Priority = Priority.INTERACTIVE,
    ) -> Retrieved:
        """Change something at Stripe, once; a repetition after an unclear end is the business of the caller's intent.

        Idempotent by: `idempotency_key`, at Stripe, for at least 24 hours.
        Raises: CardDeclined, StripeRefused, StripeNotFound, StripeKeyRejected (nothing more can happen under this key);
        RateLimited, StripeUnavailable (it did not happen); OutcomeUnknown (repeat with the same key, or look it up).
        """
        if "usage" in params:
            # The SDK's raw_request keeps this name for itself and would drop the parameter silently.
            raise InvalidValueError("`usage` cannot be sent: leave it out, Stripe's default is off_session")
        ids = {name: quote(value, safe="") for name, value in (path_ids or {}).items()}
        options = {"idempotency_key": idempotency_key, "stripe_version": api_version}
        request = Request(
            operation.name,
            operation.method,
            operation.path.format(**ids),
            params,
            account_id,
            options,
            operation.base,
        )
        return self._exchange(request, priority)

    def forget_lanes(self, lanes: Collection[int]) -> None:
        """Forget cached reads of the objects of these lanes, because events changed some of them."""
        if self._cache is not None and lanes:
            self._cache.forget_lanes(lanes)

    def _exchange(self, request: Request, priority: Priority) -> Retrieved:
        started = time.monotonic()
        attempt = 1
        while True:
            result = self._attempt(request, priority, attempt)
            if isinstance(result, Retrieved):
                return result
            wait = self._wait_before_next(result, attempt)
            patience = CHANGE_PATIENCE.total_seconds() if request.is_change else math.inf
            if wait is None or time.monotonic() - started + wait > patience:
                raise result
            self._sleep(wait)
            attempt += 1

    def _attempt(self, request: Request, priority: Priority, attempt: int) -> Retrieved | Exception:
        try:
            self._breaker.admit(request.name)
            waited = self._budget.wait_for_room(request.name, priority)
        except (CircuitOpenError, BudgetSpentError) as error:
            return error
        exchange = self._transport.send(request)
        self._breaker.note(answered=not _is_silence(exchange.result))
        self._figures.count(request, exchange, priority=priority, has_waited=waited > 0, at=datetime.now(UTC))
        self._log_call(request, exchange, priority, attempt, waited)
        return exchange.result

    def _wait_before_next(self, error: Exception, attempt: int) -> float | None:
        """Return how long to wait before the next attempt, None if there is to be none."""
        # Of a change, too, these prove that it did nothing.
        if not isinstance(error, RateLimited | StripeUnavailable) or attempt >= self._attempts_at_most:
            return None
        if isinstance(error, CircuitOpenError | BudgetSpentError) or error.should_retry is False:
            return None
        wished = error.retry_after_seconds
        if wished is not None:
            return min(wished, LONGEST_WAIT_SECONDS)
        longest = FIRST_WAIT_SECONDS * (2 ** (attempt - 1) if self._wait_grows else 1)
        # Full jitter on the upper half: processes that were refused together do not come back together.
        return min(longest, LONGEST_WAIT_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

    def _log_call(self, request: Request, exchange: Exchange, priority: Priority, attempt: int, waited: float) -> None:
        _log.info(
            "stripe_call",
            operation=request.name,
            status=exchange.status,
            ms=exchange.ms,
            request_id=exchange.request_id,
            attempt=attempt,
            priority=priority.value,
            waited_ms=round(waited * 1000),
        )
        if isinstance(exchange.result, RateLimited):
            _log.warning("stripe_rate_limit", operation=request.name, request_id=exchange.request_id)


def _is_silence(result: Retrieved | Exception) -> bool:
    """Say whether Stripe is not answering as it should: no answer, or a failure of its own."""
    if isinstance(result, OutcomeUnknown):
        return not result.key_is_spent
    return isinstance(result, StripeUnavailable)
