"""List customers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows
from billing_worker.kernel.errors import RefusedError

if TYPE_CHECKING:
    from billing_worker.mirror import objects
else:
    objects = lazy_module("billing_worker.mirror.objects")


@click.command()
@click.option("--test-mode", is_flag=True, help="Refuse to run against live data.")
@click.option("--user", metavar="ID", help="Only whose metadata name this user.")
@click.option("--email", help="Only with this mail address.")
@limit_option
@json_option
@pass_invocation
def command(
    invocation: Invocation, *, test_mode: bool, user: str | None, email: str | None, limit: int, as_json: bool
) -> None:
    """List mirrored customers, the last changed first."""
    if test_mode and load_command_settings(invocation).livemode:
        raise RefusedError("this installation is in live mode, it has no test customers (STRIPE_MODE=live)")
    where = {name: value for name, value in (("user_id", user), ("email", email)) if value is not None}
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = objects.list_objects(session, "customer", where=where, limit=limit)
    rows = [
        {
            "customer": one.id,
            "email": one.data.get("email"),
            "name": one.data.get("name"),
            "user": (one.data.get("metadata") or {}).get("user_id"),
            "delinquent": one.data.get("delinquent"),
            "balance_minor": one.data.get("balance"),
            "livemode": one.data.get("livemode"),
            "changed_at": one.version,
        }
        for one in found
    ]
    show_rows(rows, as_json=as_json, empty="no customer is mirrored; `nself billing reconcile` looks at Stripe")
