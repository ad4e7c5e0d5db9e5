"""Show the signing secrets, masked."""

from __future__ import annotations

import hashlib

import click

from billing_worker.cli._container import load_command_settings
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows

FINGERPRINT = 8


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> int:
    """Show each active signing secret: its start, length and a fingerprint to compare hosts by; never the secret."""
    secrets = load_command_settings(invocation).webhook_secrets
    rows = [
        {
            "number": number,
            "secret": ("whsec_" if secret.startswith("whsec_") else "") + "***",
            "length": len(secret),
            "fingerprint": hashlib.sha256(secret.encode()).hexdigest()[:FINGERPRINT],
            "problems": "" if secret.startswith("whsec_") else "does not begin with whsec_",
        }
        for number, secret in enumerate(secrets)
    ]
    show_rows(rows, as_json=as_json, empty="no secret: nself env set STRIPE_WEBHOOK_SECRET=-")
    return EXIT_DIFFERENCES if not rows or any(row["problems"] for row in rows) else EXIT_DONE
