"""Change the signing secret without losing a delivery: add the new one, watch it verify, retire the old."""

from __future__ import annotations

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.endpoints import choose_endpoint, read_endpoints
from billing_worker.inbox.keyring import Keyring, RotationReport, choose_secret, new_secret_of
from billing_worker.inbox.rotation import (
    Rotation,
    RotationState,
    advance_rotation,
    find_open_rotation,
    insert_rotation,
    read_counts,
)
from billing_worker.inbox.second_endpoint import (
    create_second_endpoint,
    delete_old_endpoint,
    enable_second_endpoint,
)
from billing_worker.inbox.secrets import fingerprint_of
from billing_worker.kernel.errors import RefusedError
from billing_worker.stripe_gateway.client import StripeGateway

ADDRESS_REFUSED = "address_not_allowed"
"""The probe did not come as far as the signature."""


def rotate_secret(
    unit_of_work: UnitOfWork,
    gateway: StripeGateway,
    keyring: Keyring,
    *,
    endpoint_id: str | None = None,
    old_number: int | None = None,
    new_secret: str | None = None,
    skip_watch: bool = False,
) -> RotationReport:
    """Go as far as can be gone now; called again it goes on where it stood.

    Phases: begin; a second endpoint at Stripe, disabled (unless `new_secret` was rolled in the Dashboard); both secrets
    written; the receiver accepts both; the new endpoint enabled; a delivery verified by the new secret; the old
    endpoint deleted; the new secret alone written.
    Idempotent by: one open rotation at a time; Stripe's answer to its idempotency key.
    Raises: NoSecretError, SecretLostError; SeveralEndpointsError, NoEndpointError; what the gateway raises.
    """
    with unit_of_work.transaction() as session:
        rotation = find_open_rotation(session)
    if rotation is None:
        rotation = _begin(unit_of_work, gateway, keyring, endpoint_id, old_number, new_secret)
    if rotation.state is RotationState.PLANNED:
        rotation = _add(unit_of_work, gateway, keyring, rotation, new_secret)
    if rotation.state is RotationState.WATCHING:
        waits_for = _watch(unit_of_work, gateway, keyring, rotation, skip_watch=skip_watch)
        if waits_for:
            return RotationReport(rotation, waits_for)
        rotation = _advance(unit_of_work, rotation, RotationState.RETIRING)
    return RotationReport(_retire(unit_of_work, gateway, keyring, rotation), "")


def _begin(
    unit_of_work: UnitOfWork,
    gateway: StripeGateway,
    keyring: Keyring,
    endpoint_id: str | None,
    old_number: int | None,
    new_secret: str | None,
) -> Rotation:
    secrets = keyring.secrets()
    if new_secret in secrets:
        raise RefusedError("this secret is active already: give the one that Stripe shows after rolling")
    going = choose_secret(secrets, old_number)
    old = None if new_secret else choose_endpoint(read_endpoints(gateway), endpoint_id)
    with unit_of_work.transaction() as session:
        return insert_rotation(
            session,
            url="" if old is None else old.url,
            old_endpoint_id="" if old is None else old.id,
            old_fingerprint=fingerprint_of(going),
            now=unit_of_work.now(),
        )


def _add(
    unit_of_work: UnitOfWork, gateway: StripeGateway, keyring: Keyring, rotation: Rotation, new_secret: str | None
) -> Rotation:
    new_endpoint_id = ""
    if rotation.old_endpoint_id:
        new_endpoint_id, new_secret = create_second_endpoint(gateway, rotation)
    if new_secret is None:
        raise RefusedError("the rotation waits for the rolled secret: add --new-secret - and give it on standard input")
    keyring.write((*(one for one in keyring.secrets() if one != new_secret), new_secret))
    return _advance(
        unit_of_work,
        rotation,
        RotationState.WATCHING,
        new_endpoint_id=new_endpoint_id,
        new_fingerprint=fingerprint_of(new_secret),
    )


def _watch(
    unit_of_work: UnitOfWork, gateway: StripeGateway, keyring: Keyring, rotation: Rotation, *, skip_watch: bool
) -> str:
    """Return what the rotation still waits for."""
    new_secret = new_secret_of(keyring, rotation)
    refused = keyring.why_refused(new_secret)
    if refused == ADDRESS_REFUSED and not skip_watch:
        return (
            "the allow-list keeps this machine's probe out, so nothing proves that the receiver has the new secret: "
            "nself restart receiver, then add --skip-watch"
        )
    if refused not in {"", ADDRESS_REFUSED}:
        return f"the receiver does not accept the new secret yet ({refused}): nself restart receiver"
    if rotation.new_endpoint_id:
        enable_second_endpoint(gateway, rotation)
    if skip_watch:
        return ""
    with unit_of_work.transaction() as session:
        counts = read_counts(session, [rotation.new_fingerprint])
    if rotation.new_fingerprint in counts:
        return ""
    return "no delivery was verified by the new secret yet: the next event of Stripe's is one"


def _retire(unit_of_work: UnitOfWork, gateway: StripeGateway, keyring: Keyring, rotation: Rotation) -> Rotation:
    new_secret_of(keyring, rotation)
    if rotation.old_endpoint_id:
        delete_old_endpoint(gateway, rotation)
    keyring.write(tuple(one for one in keyring.secrets() if fingerprint_of(one) != rotation.old_fingerprint))
    return _advance(unit_of_work, rotation, RotationState.DONE)


def _advance(unit_of_work: UnitOfWork, rotation: Rotation, state: RotationState, **changes: str) -> Rotation:
    with unit_of_work.transaction() as session:
        return advance_rotation(session, rotation, state, unit_of_work.now(), **changes)
