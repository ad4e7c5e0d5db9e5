"""Fetch the list of addresses that Stripe publishes."""

from __future__ import annotations

import requests

from billing_worker.inbox.addresses import SOURCE_URL
from billing_worker.kernel.errors import UnavailableError

TIMEOUT_SECONDS = 15
MAX_BYTES = 64 * 1024


def fetch_published(url: str = SOURCE_URL) -> bytes:
    """Read the file, over a verified connection and from that address alone.

    Raises: UnavailableError when it cannot be had whole.
    """
    try:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.exceptions.RequestException as error:
        raise UnavailableError(f"{url} cannot be read: {type(error).__name__}") from error
    if answer.status_code != requests.codes.ok or len(answer.content) > MAX_BYTES:
        raise UnavailableError(f"{url} answers {answer.status_code} with {len(answer.content)} bytes")
    return answer.content
