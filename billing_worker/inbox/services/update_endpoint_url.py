"""Change the address Stripe delivers to."""

from __future__ import annotations

import uuid

from billing_worker.inbox.endpoints import Endpoint, choose_endpoint, read_endpoint, read_endpoints
from billing_worker.kernel.errors import RefusedError
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.stripe_gateway.operations import operation_named


def update_endpoint_url(
    gateway: StripeGateway, url: str, *, endpoint_id: str | None, is_dry_run: bool
) -> tuple[Endpoint, Endpoint]:
    """Move an endpoint to a checked address and return it as it was and as it is; secret and events stay.

    Idempotent by: the same address twice changes nothing.
    Raises: NoEndpointError, SeveralEndpointsError; RefusedError when another endpoint has that address already, because
    every event would come twice; StripeUnavailable, StripeRefused, StripeKeyRejected.
    """
    endpoints = read_endpoints(gateway)
    before = choose_endpoint(endpoints, endpoint_id)
    double = [one.id for one in endpoints if one.url == url and one.id != before.id]
    if double:
        raise RefusedError(f"{double[0]} has this address already: every event would come twice")
    if before.url == url or is_dry_run:
        return before, before
    answer = gateway.call(
        operation_named("webhook_endpoints.update"),
        {"url": url},
        idempotency_key=f"nself-endpoint-{uuid.uuid4()}",
        path_ids={"id": before.id},
    )
    return before, read_endpoint(answer.data)
