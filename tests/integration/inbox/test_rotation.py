"""A rotation whose secret was rolled in the Dashboard, with a receiver that answers probes as told."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.keyring import NoSecretError, RotationReport, SecretLostError
from billing_worker.inbox.rotation import RotationState
from billing_worker.inbox.services.rotate_secret import rotate_secret
from billing_worker.kernel.errors import RefusedError
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway


@dataclass
class Ring:
    """A ring in memory."""

    held: tuple[str, ...]
    refused: str = ""

    def secrets(self) -> tuple[str, ...]:
        return self.held

    def write(self, secrets: tuple[str, ...]) -> None:
        self.held = secrets

    def why_refused(self, secret: str) -> str:
        assert secret in self.held
        return self.refused


@pytest.fixture
def gateway(settings: Settings) -> StripeGateway:
    """A gateway that reaches nobody: a rolled secret touches no endpoint."""
    return StripeGateway(settings.model_copy(update={"stripe_api_base": "http://127.0.0.1:1"}))


def rotate(unit_of_work: UnitOfWork, gateway: StripeGateway, ring: Ring, **options: int | str | bool) -> RotationReport:
    return rotate_secret(unit_of_work, gateway, ring, **options)  # type: ignore[arg-type]  # options by name


def test_secrets_of_other_endpoints_stay(unit_of_work: UnitOfWork, gateway: StripeGateway) -> None:
    ring = Ring(("whsec_account", "whsec_connect"))
    with pytest.raises(NoSecretError, match="--old"):
        rotate(unit_of_work, gateway, ring, new_secret="whsec_new")
    with pytest.raises(RefusedError, match="active already"):
        rotate(unit_of_work, gateway, ring, new_secret="whsec_connect", old_number=0)
    with pytest.raises(NoSecretError, match="number 2"):
        rotate(unit_of_work, gateway, ring, new_secret="whsec_new", old_number=2)
    done = rotate(unit_of_work, gateway, ring, new_secret="whsec_new", old_number=0, skip_watch=True)
    assert (done.rotation.state, ring.held) == (RotationState.DONE, ("whsec_connect", "whsec_new"))


def test_an_allow_list_that_keeps_the_probe_out_is_no_proof(unit_of_work: UnitOfWork, gateway: StripeGateway) -> None:
    ring = Ring(("whsec_old",), refused="address_not_allowed")
    assert "--skip-watch" in rotate(unit_of_work, gateway, ring, new_secret="whsec_new").waits_for
    ring.refused = "wrong_secret"
    assert "(wrong_secret)" in rotate(unit_of_work, gateway, ring, skip_watch=True).waits_for
    assert list(ring.held) == ["whsec_old", "whsec_new"]
    ring.refused = "address_not_allowed"
    assert rotate(unit_of_work, gateway, ring, skip_watch=True).waits_for == ""
    assert list(ring.held) == ["whsec_new"]


def test_a_lost_secret_is_not_retired_into_nothing(unit_of_work: UnitOfWork, gateway: StripeGateway) -> None:
    ring = Ring(("whsec_old",))
    rotate(unit_of_work, gateway, ring, new_secret="whsec_new")
    ring.held = ("whsec_old",)
    with pytest.raises(SecretLostError, match="--abort"):
        rotate(unit_of_work, gateway, ring, skip_watch=True)
    assert ring.held == ("whsec_old",)
