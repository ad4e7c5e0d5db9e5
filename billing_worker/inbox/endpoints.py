"""The webhook endpoints as Stripe has them, and what may be changed about them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from billing_worker.inbox.addresses import STRIPE_HOST
from billing_worker.kernel.errors import InvalidValueError, NotFoundError, RefusedError
from billing_worker.stripe_gateway.client import StripeGateway

ALL_EVENTS = "*"
PATHS = ("/webhooks/stripe", "/webhook")
"""Where the receiver listens."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint; `api_version` is empty when the account's default counts."""

    id: str
    url: str
    status: str
    enabled_events: tuple[str, ...]
    api_version: str
    metadata: Mapping[str, str]

    @property
    def is_enabled(self) -> bool:
        """Say whether Stripe delivers to it."""
        return self.status == "enabled"


class NoEndpointError(NotFoundError):
    """Stripe has no such endpoint."""


class SeveralEndpointsError(RefusedError):
    """It is not clear which endpoint is meant."""


def read_endpoints(gateway: StripeGateway) -> list[Endpoint]:
    """Read every endpoint.

    Raises: StripeUnavailable, RateLimited, StripeRefused, StripeKeyRejected.
    """
    endpoints: list[Endpoint] = []
    after: str | None = None
    while True:
        page = gateway.list_page("webhook_endpoints", starting_after=after)
        endpoints += [read_endpoint(each) for each in page.data]
        if not page.has_more:
            return endpoints
        after = endpoints[-1].id


def read_endpoint(data: Mapping[str, Any]) -> Endpoint:
    """Read one endpoint from Stripe's object."""
    return Endpoint(
        id=str(data["id"]),
        url=str(data.get("url") or ""),
        status=str(data.get("status") or ""),
        enabled_events=tuple(str(one) for one in data.get("enabled_events") or ()),
        api_version=str(data.get("api_version") or ""),
        metadata=dict(data.get("metadata") or {}),
    )


def choose_endpoint(endpoints: list[Endpoint], endpoint_id: str | None) -> Endpoint:
    """Find the endpoint that is meant: the named one, or the only enabled one.

    Raises: NoEndpointError; SeveralEndpointsError listing them.
    """
    if endpoint_id is not None:
        found = [one for one in endpoints if one.id == endpoint_id]
    else:
        found = [one for one in endpoints if one.is_enabled]
    if not found:
        raise NoEndpointError(
            f"Stripe has no {'endpoint ' + endpoint_id if endpoint_id else 'enabled endpoint'}: "
            "`nself billing webhook list-endpoints` shows what there is"
        )
    if len(found) > 1:
        names = ", ".join(f"{one.id} ({one.url})" for one in found)
        raise SeveralEndpointsError(f"several endpoints are enabled: {names}; name yours with --endpoint")
    return found[0]


def check_url(url: str, *, livemode: bool, api_base: str) -> str:
    """Return an address that Stripe can deliver to.

    Raises: InvalidValueError for what is no address; RefusedError for one that would lose events.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(character.isspace() for character in url):
        raise InvalidValueError(f"{url!r} is no address: write for example https://yourapp.com{PATHS[0]}")
    if parts.username or parts.password or parts.fragment:
        raise InvalidValueError("the address must hold no user, password or fragment: Stripe shows it in its Dashboard")
    if parts.path not in PATHS:
        raise RefusedError(f"the receiver listens on {' and '.join(PATHS)}, not on {parts.path or '/'}")
    if urlsplit(api_base).hostname != STRIPE_HOST:
        return url  # a sandbox on this machine reaches what this machine reaches
    if livemode and parts.scheme == "http":
        raise RefusedError("Stripe delivers live events to https only")
    if _is_local(parts.hostname):
        raise RefusedError(
            f"Stripe cannot reach {parts.hostname}: use the public address, or `stripe listen` while testing"
        )
    return url


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host.strip("[]:"):
        return ":" not in host or not _is_global(host)
    return host.replace(".", "").isdigit() and not _is_global(host)


def _is_global(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False
