"""Give a rotation up: what it added goes, what was there before stays."""

from __future__ import annotations

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.keyring import Keyring, RotationReport
from billing_worker.inbox.rotation import RotationState, advance_rotation, find_open_rotation
from billing_worker.inbox.second_endpoint import delete_second_endpoint
from billing_worker.inbox.secrets import fingerprint_of
from billing_worker.kernel.errors import NotFoundError, RefusedError
from billing_worker.stripe_gateway.client import StripeGateway


class NoRotationError(NotFoundError):
    """No rotation is under way."""


def abort_rotation(unit_of_work: UnitOfWork, gateway: StripeGateway, keyring: Keyring) -> RotationReport:
    """Delete the second endpoint, take the new secret out of the env file, close the rotation.

    Raises: NoRotationError; RefusedError once the old endpoint is being retired; what the gateway raises.
    """
    with unit_of_work.transaction() as session:
        rotation = find_open_rotation(session)
    if rotation is None:
        raise NoRotationError("no rotation is under way")
    if rotation.state is RotationState.RETIRING:
        raise RefusedError("the old endpoint is being retired: finish with `nself billing webhook rotate-secret`")
    delete_second_endpoint(gateway, rotation)
    kept = tuple(one for one in keyring.secrets() if fingerprint_of(one) != rotation.new_fingerprint)
    keyring.write(kept)
    with unit_of_work.transaction() as session:
        aborted = advance_rotation(session, rotation, RotationState.ABORTED, unit_of_work.now())
    return RotationReport(aborted, "")
