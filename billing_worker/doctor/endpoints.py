"""The webhook endpoints as Stripe has them."""

from __future__ import annotations

from dataclasses import dataclass

from billing_worker.stripe_gateway.client import API_VERSION, StripeGateway

ACCOUNT_DEFAULT = "account's default"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint; `events` is the number of enabled types, or `*` for all."""

    id: str
    url: str
    status: str
    events: str
    api_version: str


def list_endpoints(gateway: StripeGateway) -> list[Endpoint]:
    """Read every endpoint.

    Raises: StripeUnavailable, RateLimited, StripeRefused, StripeKeyRejected.
    """
    endpoints: list[Endpoint] = []
    after: str | None = None
    while True:
        page = gateway.list_page("webhook_endpoints", starting_after=after)
        for each in page.data:
            enabled = each.get("enabled_events") or []
            endpoints.append(
                Endpoint(
                    id=str(each["id"]),
                    url=str(each.get("url", "")),
                    status=str(each.get("status", "")),
                    events="*" if "*" in enabled else str(len(enabled)),
                    api_version=str(each.get("api_version") or ACCOUNT_DEFAULT),
                )
            )
        if not page.has_more:
            return endpoints
        after = endpoints[-1].id


def list_problems(endpoint: Endpoint, same_url: int) -> list[str]:
    """Say what keeps an endpoint from delivering each event once, in the version this release reads."""
    problems = []
    if endpoint.status != "enabled":
        problems.append("disabled: nothing is delivered")
    if same_url > 1:
        problems.append(f"{same_url} endpoints have this address: every event comes {same_url} times")
    if endpoint.api_version not in {API_VERSION, ACCOUNT_DEFAULT}:
        problems.append(f"API version is not {API_VERSION}")
    return problems
