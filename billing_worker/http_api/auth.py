"""Who may call: `Authorization: Bearer KEY`, one of BILLING_API_KEYS."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from billing_worker.http_api.answers import ApiError
from billing_worker.runtime.values import ApiKey

_EXAMPLE = "Authorization: Bearer KEY"


def caller_of(authorization: str | None, keys: Sequence[ApiKey]) -> str:
    """Return the name of the caller whose key a header carries; every key is compared, in constant time.

    Raises: ApiError 401.
    """
    scheme, _, key = (authorization or "").partition(" ")
    digest = hashlib.sha256(key.strip().encode()).digest()
    names = [known.name for known in keys if hmac.compare_digest(known.digest, digest)]
    if scheme.lower() == "bearer" and names:
        return names[0]
    if not authorization:
        raise _refusal("missing_key", "this address needs a key in the header Authorization")
    if scheme.lower() != "bearer":
        raise _refusal("malformed_key", "the header Authorization must be the word Bearer, a blank and a key")
    raise _refusal("unknown_key", "this key is none of BILLING_API_KEYS; one that was replaced is gone at a restart")


def _refusal(reason: str, message: str) -> ApiError:
    return ApiError(401, reason, message, _EXAMPLE, headers={"WWW-Authenticate": 'Bearer realm="nself-billing"'})
