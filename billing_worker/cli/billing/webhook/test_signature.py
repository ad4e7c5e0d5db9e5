"""Send a signed probe through the running receiver and say what is wrong on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.cli._receiver import receiver_url
from billing_worker.kernel.errors import RefusedError

if TYPE_CHECKING:
    from billing_worker.inbox import secrets
    from billing_worker.inbox.services import probe_receiver
else:
    secrets = lazy_module("billing_worker.inbox.secrets")
    probe_receiver = lazy_module("billing_worker.inbox.services.probe_receiver")


@click.command()
@click.option("--url", help="The address Stripe delivers to, to test what stands before the receiver, too.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, url: str | None, as_json: bool) -> int:
    """Sign a probe with each secret, send it to the running receiver, and name the cause when it is refused.

    A probe is answered and never stored. Exit code 1 when a delivery of Stripe's would be refused.
    """
    loaded = load_command_settings(invocation)
    if not loaded.webhook_secrets:
        raise RefusedError("no secret is set: nself env set STRIPE_WEBHOOK_SECRET=-")
    target = url or receiver_url(loaded)
    rows = []
    for number, secret in enumerate(loaded.webhook_secrets):
        found = probe_receiver.probe_receiver(target, secret, livemode=loaded.livemode)
        rows.append(
            {
                "secret": number,
                "fingerprint": secrets.fingerprint_of(secret),
                "verdict": found.cause,
                "says": found.message,
                "next": found.cure,
                "url": target,
            }
        )
    show_rows(rows, as_json=as_json)
    return EXIT_DONE if all(row["verdict"] == "ok" for row in rows) else EXIT_DIFFERENCES
