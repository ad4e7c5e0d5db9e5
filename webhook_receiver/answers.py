"""What goes back to the sender: JSON with a short reason, never the sentence that explains it."""

from __future__ import annotations

import json

from flask import Response

JSON = "application/json"
RETRY_AFTER_SECONDS = 5
"""Stripe comes back on its own schedule; proxies and load balancers read this."""

BUSY_STATUSES = frozenset({429, 503})


def answer(status: int, body: dict[str, object]) -> Response:
    """Make a JSON answer."""
    response = Response(json.dumps(body), status=status, content_type=JSON)
    if status in BUSY_STATUSES:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
