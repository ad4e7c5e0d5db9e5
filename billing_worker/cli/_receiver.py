"""The receiver and its secrets as commands reach them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from billing_worker.cli._lazy import lazy_module
from billing_worker.kernel.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from billing_worker.inbox.services import probe_receiver
    from billing_worker.runtime import settings, sources
    from billing_worker.runtime.settings import Settings
    from billing_worker.stack import env_file
else:
    probe_receiver = lazy_module("billing_worker.inbox.services.probe_receiver")
    settings, sources = (lazy_module(f"billing_worker.runtime.{name}") for name in ("settings", "sources"))
    env_file = lazy_module("billing_worker.stack.env_file")

NAME = "STRIPE_WEBHOOK_SECRET"
PATH = "/webhooks/stripe"
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what a receiver may listen on


def receiver_url(loaded: Settings) -> str:
    """Return the receiver's own address, with no proxy before it."""
    host = ANY_ADDRESS.get(loaded.billing_receiver_host, loaded.billing_receiver_host)
    return f"http://{host}:{loaded.billing_receiver_port}{PATH}"


@dataclass(frozen=True)
class EnvFileKeyring:
    """The secrets in the env file, and the receiver at `url` that reads them when it starts."""

    environ: Mapping[str, str]
    url: str
    livemode: bool

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that count."""
        return settings.load_settings(self.environ).webhook_secrets

    def write(self, secrets: tuple[str, ...]) -> None:
        """Write the secrets.

        Raises: RefusedError when the environment would win over the file.
        """
        if sources.read_sources(self.environ).process.get(NAME):
            raise RefusedError(f"{NAME} is set in the environment, which wins over the env file: move it into the file")
        env_file.set_values(self.environ, {NAME: ",".join(secrets)})

    def why_refused(self, secret: str) -> str:
        """Ask the running receiver."""
        found = probe_receiver.probe_receiver(self.url, secret, livemode=self.livemode)
        return "" if found.is_good else str(found.cause)
