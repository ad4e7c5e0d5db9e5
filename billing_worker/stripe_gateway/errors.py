"""Stripe's errors, mapped once to the two families that decide what happens next."""

# ruff: noqa: N818 - errors are named by the fact, and the family is their base class

from __future__ import annotations

from http import HTTPStatus
from typing import Any, TypedDict

from billing_worker.kernel.errors import NotFoundError, RetryableError, TerminalError


class StripeUnavailable(RetryableError):
    """Stripe could not be reached, or said that it could not answer; nothing was changed there.

    Units: `retry_after_seconds` and `should_retry` are Stripe's own wishes (its headers Retry-After and
    Stripe-Should-Retry), None when it named none.
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, should_retry: bool | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.should_retry = should_retry


class RateLimited(RetryableError):
    """Stripe refused the call because there were too many; nothing was changed there.

    Units: `retry_after_seconds` and `should_retry` as with StripeUnavailable.
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, should_retry: bool | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.should_retry = should_retry


class OutcomeUnknown(RetryableError):
    """A changing call ended without an answer that can be trusted: it may have happened at Stripe or not.

    Repeat it with the same key only. `key_is_spent` says that this key will never give another answer (Stripe repeated
    a stored 5xx, or holds other parameters for it), so the object has to be looked up.
    """

    def __init__(self, message: str, *, key_is_spent: bool = False) -> None:
        super().__init__(message)
        self.key_is_spent = key_is_spent


class CardDeclined(TerminalError):
    """The bank or Stripe declined the payment.

    `code` is Stripe's error code (`card_declined`, `expired_card`, …), `decline_code` the bank's word behind it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        decline_code: str | None,
        payment_intent_id: str | None,
        request_id: str | None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.decline_code = decline_code
        self.payment_intent_id = payment_intent_id
        self.request_id = request_id


class StripeNotFound(NotFoundError):
    """Stripe has no such object, or it belongs to another account or mode."""


class StripeRefused(TerminalError):
    """Stripe understood the call and refused it; the same call will be refused again."""

    def __init__(self, message: str, *, code: str | None, param: str | None, request_id: str | None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.request_id = request_id


class StripeKeyRejected(TerminalError):
    """Stripe does not accept the secret key for this call: check STRIPE_SECRET_KEY."""


def map_error_answer(
    *, status: int, error: dict[str, Any], headers: dict[str, str], is_change: bool, operation: str
) -> Exception:
    """Turn an error answer of Stripe into ours.

    Shape: `error` is the `error` hash of the body, empty when the body was unreadable; header names are lower case.
    """
    request_id = headers.get("request-id")
    code = error.get("code")
    said = f"{operation}: {error.get('message') or f'HTTP {status}'} (request {request_id or 'unknown'})"
    if status == HTTPStatus.TOO_MANY_REQUESTS or code in ("rate_limit", "lock_timeout"):
        return RateLimited(said, **_wishes(headers))
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return CardDeclined(
            said,
            code=code or "card_declined",
            decline_code=error.get("decline_code"),
            payment_intent_id=_id_of(error.get("payment_intent")),
            request_id=request_id,
        )
    is_key_conflict = error.get("type") == "idempotency_error" and status != HTTPStatus.CONFLICT
    if is_key_conflict or _is_unclear(status):
        is_spent = is_key_conflict or headers.get("idempotent-replayed") == "true"
        return OutcomeUnknown(said, key_is_spent=is_spent) if is_change else StripeUnavailable(said, **_wishes(headers))
    if not is_change and code == "resource_missing" and error.get("param") in _OWNERS:
        # A list of what belongs to nobody is refused with 400: what is missing is the owner.
        return StripeNotFound(said)
    family = _BY_STATUS.get(status)
    return family(said) if family else StripeRefused(said, code=code, param=error.get("param"), request_id=request_id)


_OWNERS = frozenset({"customer", "subscription"})
_BY_STATUS: dict[int, type[StripeKeyRejected | StripeNotFound]] = {
    HTTPStatus.UNAUTHORIZED: StripeKeyRejected,
    HTTPStatus.FORBIDDEN: StripeKeyRejected,
    HTTPStatus.NOT_FOUND: StripeNotFound,
}


def _is_unclear(status: int) -> bool:
    """Say whether the status leaves open what happened: an unreadable success, a running twin (409), a failure."""
    return (
        status < HTTPStatus.BAD_REQUEST or status == HTTPStatus.CONFLICT or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _id_of(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) else None


class _Wishes(TypedDict):
    retry_after_seconds: float | None
    should_retry: bool | None


def _wishes(headers: dict[str, str]) -> _Wishes:
    should_retry = {"true": True, "false": False}.get(headers.get("stripe-should-retry", ""))
    return {"retry_after_seconds": _seconds(headers.get("retry-after")), "should_retry": should_retry}


def _seconds(value: str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None
