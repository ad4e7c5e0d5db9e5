"""The signing secrets as a rotation handles them: written for the receiver, asked of it, chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from billing_worker.inbox.rotation import Rotation
from billing_worker.inbox.secrets import fingerprint_of
from billing_worker.kernel.errors import RefusedError


class Keyring(Protocol):
    """The secrets as the env file has them, and the receiver that reads them when it starts."""

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that are written."""
        ...

    def write(self, secrets: tuple[str, ...]) -> None:
        """Write the secrets that the receiver takes up at its next start."""
        ...

    def why_refused(self, secret: str) -> str:
        """Return the cause for which the running receiver refuses what this secret signs, '' when it does not."""
        ...


@dataclass(frozen=True, slots=True)
class RotationReport:
    """Where a rotation stands; `waits_for` is empty when it is done."""

    rotation: Rotation
    waits_for: str

    def as_facts(self) -> dict[str, object]:
        """Name everything, with a stable set of names."""
        return {
            "rotation": self.rotation.id,
            "state": self.rotation.state.value,
            "waits_for": self.waits_for,
            "old_endpoint": self.rotation.old_endpoint_id,
            "new_endpoint": self.rotation.new_endpoint_id,
            "old_fingerprint": self.rotation.old_fingerprint,
            "new_fingerprint": self.rotation.new_fingerprint,
            "started": self.rotation.started_at,
        }


class NoSecretError(RefusedError):
    """There is no secret that could be rotated."""


class SecretLostError(RefusedError):
    """The env file does not hold the secret that the rotation added."""


def choose_secret(secrets: tuple[str, ...], number: int | None) -> str:
    """Return the secret that is to retire: the only one, or the one of this number.

    Raises: NoSecretError.
    """
    if not secrets:
        raise NoSecretError("no secret is set: nself env set STRIPE_WEBHOOK_SECRET=-")
    if number is None and len(secrets) > 1:
        # They may belong to several endpoints: only one of them goes.
        raise NoSecretError("several secrets are set: say which one goes with --old; show-secret numbers them")
    if not 0 <= (number or 0) < len(secrets):
        raise NoSecretError(f"there is no secret number {number}: show-secret numbers them")
    return secrets[number or 0]


def new_secret_of(keyring: Keyring, rotation: Rotation) -> str:
    """Find the secret that a rotation added.

    Raises: SecretLostError.
    """
    for secret in keyring.secrets():
        if fingerprint_of(secret) == rotation.new_fingerprint:
            return secret
    raise SecretLostError(
        f"STRIPE_WEBHOOK_SECRET no longer holds the new secret ({rotation.new_fingerprint}): put it back, "
        "or give the rotation up with --abort"
    )
