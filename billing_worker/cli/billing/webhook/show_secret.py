"""Show the signing secrets, masked, with what each of them verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows

if TYPE_CHECKING:
    from billing_worker.inbox import rotation, secrets
    from billing_worker.runtime.settings import Settings
else:
    rotation, secrets = (lazy_module(f"billing_worker.inbox.{name}") for name in ("rotation", "secrets"))

NO_COUNT = {"deliveries": 0, "since": None, "last_used": None}


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> int:
    """Show each active signing secret: its start, length, a fingerprint to compare hosts by, and its deliveries.

    Counts lag a second behind. Never shows the secret.
    """
    loaded = load_command_settings(invocation)
    counts = _read_counts(invocation, loaded)
    rows = [
        {
            "number": number,
            "secret": ("whsec_" if secret.startswith("whsec_") else "") + "***",
            "length": len(secret),
            "fingerprint": secrets.fingerprint_of(secret),
            **counts.get(secrets.fingerprint_of(secret), NO_COUNT),
            "problems": "" if secret.startswith("whsec_") else "does not begin with whsec_",
        }
        for number, secret in enumerate(loaded.webhook_secrets)
    ]
    show_rows(rows, as_json=as_json, empty="no secret: nself env set STRIPE_WEBHOOK_SECRET=-")
    return EXIT_DIFFERENCES if not rows or any(row["problems"] for row in rows) else EXIT_DONE


def _read_counts(invocation: Invocation, loaded: Settings) -> dict[str, dict[str, object]]:
    if not loaded.database_url.get_secret_value():
        say("deliveries are unknown: DATABASE_URL is not set")
        return {}
    fingerprints = [secrets.fingerprint_of(secret) for secret in loaded.webhook_secrets]
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = rotation.read_counts(session, fingerprints)
    return {
        name: {"deliveries": one.deliveries, "since": one.first_used_at, "last_used": one.last_used_at}
        for name, one in found.items()
    }
