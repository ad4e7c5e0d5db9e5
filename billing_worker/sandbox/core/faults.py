"""Faults on request: which requests fail, how, and how often; kept in memory, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any

from billing_worker.sandbox.core.errors import ApiError

DEFAULT_SECONDS = 90.0
"""Longer than the official clients wait (80 s)."""
MAX_SECONDS = 600.0


class Ending(StrEnum):
    """How a connection ends after a request."""

    ANSWER = "answer"
    SILENCE = "silence"
    """Nothing is sent; after a time the connection is closed."""
    RESET = "reset"
    REFUSAL = "refusal"
    """Reset, and for a time nobody listens."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to fail. Shape: `applies` says whether the request is carried out nevertheless."""

    applies: bool
    ending: Ending = Ending.ANSWER
    error: Callable[[str], ApiError] | None = None
    takes_time: bool = False


def rate_limited(_: str = "") -> ApiError:
    """Make the error of too many requests."""
    return ApiError(
        "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
        status=HTTPStatus.TOO_MANY_REQUESTS,
        code="rate_limit",
    )


def _locked(_: str) -> ApiError:
    return ApiError(
        "This object cannot be accessed right now because another API request or Stripe process is currently accessing "
        "it. If you see this error intermittently, retry the request. If you see this error frequently and are making "
        "multiple concurrent requests to a single object, make your requests serially or at a lower rate. For more "
        "details, see https://stripe.com/docs/rate-limits#object-lock-timeouts.",
        status=HTTPStatus.TOO_MANY_REQUESTS,
        code="lock_timeout",
    )


def _broken(_: str) -> ApiError:
    return ApiError(
        "An unknown error occurred; the sandbox was told to answer so.",
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        kind="api_error",
    )


def _revoked(key: str) -> ApiError:
    return ApiError(f"Expired API Key provided: {key[:8]}****", status=HTTPStatus.UNAUTHORIZED, code="api_key_expired")


def _forbidden(key: str) -> ApiError:
    return ApiError(
        f"The provided key '{key[:8]}****' does not have the required permissions for this endpoint.",
        status=HTTPStatus.FORBIDDEN,
        code="more_permissions_required",
    )


KINDS: dict[str, Kind] = {
    "rate_limit": Kind(applies=False, error=rate_limited),
    "lock_timeout": Kind(applies=False, error=_locked),
    "error_before": Kind(applies=False, error=_broken),
    "error_after": Kind(applies=True, error=_broken),
    "timeout_before": Kind(applies=False, ending=Ending.SILENCE, takes_time=True),
    "timeout_after": Kind(applies=True, ending=Ending.SILENCE, takes_time=True),
    "slow": Kind(applies=True, takes_time=True),
    "reset_before": Kind(applies=False, ending=Ending.RESET),
    "reset_after": Kind(applies=True, ending=Ending.RESET),
    "refused": Kind(applies=False, ending=Ending.REFUSAL, takes_time=True),
    "key_revoked": Kind(applies=False, error=_revoked),
    "key_forbidden": Kind(applies=False, error=_forbidden),
}


@dataclass(slots=True)
class Fault:
    """One rule.

    Shape: from the `nth` matching request on, `count` of them fail (0: all); `path` may hold `*`; `key` is a whole
    API key. Units: `seconds` is how long slow answers, silence and refusal last.
    """

    id: str
    kind: str
    method: str = "*"
    path: str = "*"
    key: str = "*"
    nth: int = 1
    count: int = 1
    seconds: float = DEFAULT_SECONDS
    seen: int = 0
    used: int = 0

    def hits(self, method: str, path: str, key: str) -> bool:
        """Count a request, and tell whether this rule would make it fail."""
        matches = zip((method, path, key), (self.method, self.path, self.key), strict=True)
        if not all(fnmatchcase(value, wanted) for value, wanted in matches):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.count == 0 or self.used < self.count)


_TEXTS = ("kind", "method", "path", "key")
_LEAST = {"nth": 1, "count": 0}


@dataclass(slots=True)
class Faults:
    """The rules in force."""

    _rules: list[Fault] = field(default_factory=list)
    _made: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, given: dict[str, Any]) -> dict[str, Any]:
        """Add a rule.

        Raises: ValueError naming what cannot work.
        """
        _check(given)
        with self._lock:
            self._made += 1
            rule = Fault(id=f"fault_{self._made}", **given)
            self._rules.append(rule)
            return asdict(rule)

    def remove(self, fault_id: str | None) -> int:
        """Remove one rule, or all, and tell how many went."""
        with self._lock:
            before = len(self._rules)
            self._rules = [rule for rule in self._rules if fault_id not in {None, rule.id}]
            return before - len(self._rules)

    def draw(self, method: str, path: str, key: str) -> Fault | None:
        """Give the rule that makes a request fail; every rule counts, the first that hits is used."""
        with self._lock:
            hits = [rule for rule in self._rules if rule.hits(method, path, key)]
            if not hits:
                return None
            hits[0].used += 1
            return hits[0]

    def listed(self) -> list[dict[str, Any]]:
        """List the rules with what they did so far."""
        with self._lock:
            return [asdict(rule) for rule in self._rules]


def _check(given: dict[str, Any]) -> None:
    known = (*_TEXTS, *_LEAST, "seconds")
    if unknown := given.keys() - set(known):
        raise ValueError(f"unknown field {min(unknown)}; a fault has {', '.join(known)}")
    if given.get("kind") not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}")
    for name in _TEXTS:
        if not isinstance(given.get(name, ""), str):
            raise ValueError(f"{name} is a text, with * for anything")  # noqa: TRY004 - answered as a bad value
    for name, least in _LEAST.items():
        value = given.get(name, least)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} is a whole number of at least {least}")
    seconds = given.get("seconds", DEFAULT_SECONDS)
    if not isinstance(seconds, int | float) or not 0 < seconds <= MAX_SECONDS:
        raise ValueError(f"seconds lie above 0 and at most at {MAX_SECONDS:g}")
