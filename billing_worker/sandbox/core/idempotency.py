"""Idempotency keys: the first answer is the answer."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from billing_worker.sandbox.core.errors import ApiError

KEEP_SECONDS = 24 * 3600
"""Source: Stripe documentation, “Idempotent requests”: keys can be removed after at least 24 hours."""
_MAX_LENGTH = 255


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What the first request with a key was and what it got."""

    key: str
    fingerprint: str
    status: int
    body: str
    request_id: str
    at: int
    path: str = ""
    """Empty in journals from before it was kept."""

    def as_line(self) -> dict[str, Any]:
        """Give the form that the journal keeps."""
        return asdict(self)


class IdempotencyKeys:
    """Stored answers, and the keys of requests under way."""

    def __init__(self) -> None:
        self._answers: dict[str, StoredAnswer] = {}
        self._under_way: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def claim(self, key: str) -> Iterator[None]:
        """Hold a key while its request runs.

        Raises: ApiError 409 when another request holds it, 400 when it is too long.
        """
        if len(key) > _MAX_LENGTH:
            raise ApiError(
                f"Idempotency keys can be at most {_MAX_LENGTH} characters. Received a key with {len(key)}.",
                kind="idempotency_error",
            )
        with self._lock:
            if key in self._under_way:
                raise ApiError(
                    "There is currently another in-progress request using this Idempotent Key (that probably means "
                    f"you submitted twice, and the other request is still going through): {key}. Please try again "
                    "later.",
                    status=409,
                    code="idempotency_key_in_use",
                )
            self._under_way.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(key)

    def find(self, key: str, fingerprint: str, path: str, now: int) -> StoredAnswer | None:
        """Return the first answer.

        Raises: ApiError 400 when the first request was another one.
        """
        stored = self._answers.get(key)
        if stored is None or stored.at + KEEP_SECONDS <= now:
            return None
        if stored.fingerprint != fingerprint:
            used = "with the same parameters they were first used with"
            if stored.path not in {"", path}:
                used = f"for the same endpoint they were first used for ('{path}' vs '{stored.path}')"
            raise ApiError(
                f"Keys for idempotent requests can only be used {used}. Try using a key other than '{key}' if you "
                "meant to execute a different request.",
                kind="idempotency_error",
            )
        return stored

    def keep(self, answer: StoredAnswer) -> None:
        """Store a first answer."""
        self._answers.pop(answer.key, None)
        self._answers[answer.key] = answer

    def restore(self, line: dict[str, Any]) -> None:
        """Take an answer back from the journal."""
        self.keep(StoredAnswer(**line))

    def live(self, now: int) -> list[StoredAnswer]:
        """List the answers still honoured, and forget the others."""
        self._answers = {key: answer for key, answer in self._answers.items() if answer.at + KEEP_SECONDS > now}
        return list(self._answers.values())


def fingerprint(method: str, path: str, params: dict[str, Any]) -> str:
    """Reduce a request to what must be the same when its key comes again."""
    text = json.dumps([method, path, params], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
