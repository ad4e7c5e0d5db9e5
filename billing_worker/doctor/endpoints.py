"""What is wrong with the webhook endpoints, seen from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from billing_worker.inbox.endpoints import ALL_EVENTS, PATHS, read_endpoints
from billing_worker.routing.table import DISPATCHER
from billing_worker.stripe_gateway.client import API_VERSION, StripeGateway

ACCOUNT_DEFAULT = "account's default"
SHOWN_MISSING = 5


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint; `events` is the number of enabled types, or `*` for all; `missing` are types we act on."""

    id: str
    url: str
    status: str
    events: str
    api_version: str
    missing: tuple[str, ...]


def list_endpoints(gateway: StripeGateway) -> list[Endpoint]:
    """Read every endpoint.

    Raises: StripeUnavailable, RateLimited, StripeRefused, StripeKeyRejected.
    """
    return [
        Endpoint(
            id=one.id,
            url=one.url,
            status=one.status,
            events=ALL_EVENTS if ALL_EVENTS in one.enabled_events else str(len(one.enabled_events)),
            api_version=one.api_version or ACCOUNT_DEFAULT,
            missing=_missing(one.enabled_events),
        )
        for one in read_endpoints(gateway)
    ]


def list_problems(endpoint: Endpoint, same_url: int) -> list[str]:
    """Say what keeps an endpoint from delivering each event once, in the version this release reads."""
    problems = []
    if endpoint.status != "enabled":
        problems.append("disabled: nothing is delivered")
    if same_url > 1:
        problems.append(f"{same_url} endpoints have this address: every event comes {same_url} times")
    if endpoint.api_version not in {API_VERSION, ACCOUNT_DEFAULT}:
        problems.append(f"API version is not {API_VERSION}")
    if urlsplit(endpoint.url).path not in PATHS:
        problems.append(f"the receiver listens on {PATHS[0]}, not on {urlsplit(endpoint.url).path or '/'}")
    if endpoint.missing:
        more = f" and {len(endpoint.missing) - SHOWN_MISSING} more" if len(endpoint.missing) > SHOWN_MISSING else ""
        problems.append(f"types we act on are not enabled: {', '.join(endpoint.missing[:SHOWN_MISSING])}{more}")
    return problems


def _missing(enabled: Sequence[str]) -> tuple[str, ...]:
    return () if ALL_EVENTS in enabled else tuple(sorted(DISPATCHER.facts.keys() - set(enabled)))
