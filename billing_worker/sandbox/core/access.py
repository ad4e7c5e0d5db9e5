"""Who may ask, and in which version: API keys, the `Stripe-Version` and the `Stripe-Account` of a request."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus

from billing_worker.sandbox.core.documents import API_VERSION
from billing_worker.sandbox.core.errors import ApiError, invalid, unauthorized
from billing_worker.stripe_gateway.schema import operation

_KEY = re.compile(r"(?:sk|rk)_test_\w{2,}")
_LIVE = re.compile(r"(?:sk|rk)_live_")
_PUBLISHABLE = re.compile(r"pk_(?:test|live)_")
_PREVIEW = re.compile(r"\d{4}-\d{2}-\d{2}\.preview")
_SHOWN = 4
"""Letters at the end of a refused key that its refusal shows, as Stripe's does."""
_HIDDEN_FROM = 12


def check_key(authorization: str) -> None:
    """Accept any test key of the right form.

    Raises: ApiError 401; a live key is refused by name, so that nobody sends one here twice.
    """
    key = key_in(authorization)
    if not key:
        raise unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
            "https://stripe.com/docs/api#authentication for details, or we can help at https://support.stripe.com/."
        )
    if _LIVE.match(key):
        raise unauthorized("This is a sandbox: live keys do not belong here. Roll the key you have just sent.")
    if _PUBLISHABLE.match(key):
        raise unauthorized(
            "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list "
            "of your API keys at https://dashboard.stripe.com/account/apikeys."
        )
    if not _KEY.fullmatch(key):
        raise unauthorized(f"Invalid API Key provided: {_masked(key)}")


def key_in(authorization: str) -> str:
    """Read the API key out of a header, empty without one."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        return _basic_user(value.strip())
    return value.strip() if scheme.lower() == "bearer" else ""


def check_version(version: str) -> None:
    """Refuse a version that Stripe never published; what comes after a semicolon switches previews on.

    Raises: ApiError 400.
    """
    date = version.partition(";")[0].strip()
    if date not in _versions() and not _PREVIEW.fullmatch(date):
        raise invalid(f"Invalid Stripe API version: {version}")


def check_account(named: str, own: str, key: str, is_connected: Callable[[str], bool]) -> None:
    """Refuse to act for another account: whose objects are whose is not simulated.

    Raises: ApiError 400 for a connected account, 403 for one that does not exist.
    """
    if named in {"", own}:
        return
    if is_connected(named):
        raise invalid(f"The sandbox does not act for connected accounts: {named}.", code="sandbox_not_simulated")
    raise ApiError(
        f"The provided key '{_masked(key)}' does not have access to account '{named}' (or that account does not "
        "exist). Application access may have been revoked.",
        status=HTTPStatus.FORBIDDEN,
        code="account_invalid",
    )


def is_todays(headers: Mapping[str, str]) -> bool:
    """Tell whether a request is held to today's version."""
    return headers.get("stripe-version", "").partition(";")[0].strip() == API_VERSION


@cache
def _versions() -> frozenset[str]:
    # The SDK lists every version in the type of an endpoint's `api_version`.
    endpoints = operation("POST", "/v1/webhook_endpoints")
    kinds = () if endpoints is None else endpoints.fields["api_version"].kinds
    return frozenset(kind.label for kind in kinds if kind.name == "literal") | {API_VERSION}


def _masked(key: str) -> str:
    shown = key[-_SHOWN:] if len(key) > _HIDDEN_FROM else ""
    return f"{key[:8]}{'*' * max(len(key) - 8 - len(shown), _SHOWN)}{shown}"


def _basic_user(encoded: str) -> str:
    try:
        return b64decode(encoded, validate=True).decode().partition(":")[0]
    except ValueError:
        return ""
