"""The shape of the API's answers and errors, and how a request's body is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Some ten thousand records with long names; a larger batch only makes everybody in its commit wait longer."""

RETRY_AFTER_SECONDS = 1


@dataclass(eq=False)
class ApiError(Exception):
    """A request that is answered with an error.

    Shape: `reason` is the short name for programs and metrics, `message` the rule for people, `example` a right one.
    """

    status: int
    reason: str
    message: str
    example: object = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """Write the error."""
        body = {"reason": self.reason, "message": self.message}
        return answer(self.status, body | ({} if self.example is None else {"example": self.example}), self.headers)


def unavailable(reason: str, message: str, *, status: int = 503, seconds: int = RETRY_AFTER_SECONDS) -> ApiError:
    """Build the answer to a request that may succeed later under the same keys."""
    return ApiError(status, reason, message, headers={"Retry-After": str(seconds)})


def answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    """Write a JSON answer."""
    text = json.dumps(body, separators=(",", ":"))
    return Response(text, status=status, mimetype="application/json", headers=dict(headers or {}))


def read_body() -> bytes:
    """Read the whole body.

    Raises: RequestEntityTooLarge, also for a body without announced length that werkzeug would cut in silence.
    """
    body = request.get_data(cache=False)
    if len(body) == MAX_BODY_BYTES and request.content_length is None and request.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge
    return body


def read_object(example: Mapping[str, object]) -> dict[str, Any]:
    """Read a body that must be one JSON object.

    Raises: ApiError with a right example.
    """
    value = parse_json(read_body(), example)
    if not isinstance(value, dict):
        raise ApiError(400, "invalid_body", "the body must be one JSON object", example)
    return value


def parse_json(body: bytes, example: object) -> Any:  # noqa: ANN401 - whatever the caller sent
    """Parse JSON.

    Raises: ApiError with a right example.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "invalid_json", f"the body is not JSON: {error}", example) from None
