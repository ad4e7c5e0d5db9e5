"""The second endpoint of a rotation at Stripe: made, switched, removed."""

from __future__ import annotations

from billing_worker.inbox.endpoints import choose_endpoint, read_endpoints
from billing_worker.inbox.rotation import Rotation
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.stripe_gateway.errors import StripeNotFound
from billing_worker.stripe_gateway.operations import operation_named

MARK = "nself_rotation"
"""Metadata by which an endpoint made by a rotation is found again."""


def create_second_endpoint(gateway: StripeGateway, rotation: Rotation) -> tuple[str, str]:
    """Make a twin of the old endpoint, disabled, and return its id and secret.

    Idempotent by: a key of the rotation: after a crash the same answer comes, with the secret that is shown only once.
    """
    old = choose_endpoint(read_endpoints(gateway), rotation.old_endpoint_id)
    created = gateway.call(
        operation_named("webhook_endpoints.create"),
        {
            "url": old.url,
            "enabled_events": list(old.enabled_events),
            "api_version": old.api_version or None,
            "metadata": {MARK: str(rotation.id)},
        },
        idempotency_key=_key(rotation, "create"),
    ).data
    # Nothing is to be delivered before the receiver knows the secret: each refused delivery comes again much later.
    _switch(gateway, rotation, str(created["id"]), disabled=True)
    return str(created["id"]), str(created["secret"])


def enable_second_endpoint(gateway: StripeGateway, rotation: Rotation) -> None:
    """Have Stripe deliver to it, if it does not yet."""
    if not choose_endpoint(read_endpoints(gateway), rotation.new_endpoint_id).is_enabled:
        _switch(gateway, rotation, rotation.new_endpoint_id, disabled=False)


def delete_second_endpoint(gateway: StripeGateway, rotation: Rotation) -> None:
    """Remove whatever the rotation made, told or not."""
    for endpoint in read_endpoints(gateway):
        if endpoint.metadata.get(MARK) == str(rotation.id):
            _delete(gateway, rotation, endpoint.id)


def delete_old_endpoint(gateway: StripeGateway, rotation: Rotation) -> None:
    """Remove the endpoint whose secret retires."""
    _delete(gateway, rotation, rotation.old_endpoint_id)


def _switch(gateway: StripeGateway, rotation: Rotation, endpoint_id: str, *, disabled: bool) -> None:
    gateway.call(
        operation_named("webhook_endpoints.update"),
        {"disabled": disabled},
        idempotency_key=_key(rotation, f"{endpoint_id}-{'disable' if disabled else 'enable'}"),
        path_ids={"id": endpoint_id},
    )


def _delete(gateway: StripeGateway, rotation: Rotation, endpoint_id: str) -> None:
    try:
        gateway.call(
            operation_named("webhook_endpoints.delete"),
            {},
            idempotency_key=_key(rotation, f"{endpoint_id}-delete"),
            path_ids={"id": endpoint_id},
        )
    except StripeNotFound:
        return  # an earlier attempt, or somebody in the Dashboard, was faster


def _key(rotation: Rotation, step: str) -> str:
    return f"nself-rotation-{rotation.id}-{rotation.started_at.timestamp():.0f}-{step}"
