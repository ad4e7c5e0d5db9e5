"""`sync customer` and `sync subscription`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import say, show_rows

if TYPE_CHECKING:
    from billing_worker.domains.reconciliation.services import sync_object
else:
    sync_object = lazy_module("billing_worker.domains.reconciliation.services.sync_object")


def sync_command(object_type: str, *, belongings: str) -> click.Command:
    """Make the command for one type."""

    @click.command(
        help=(
            f"Take a {object_type} over from Stripe as it is now, with its {belongings}.\n\n"
            "What is newer here stays. With --dry-run nothing is stored and exit code 1 says that something differs."
        )
    )
    @click.argument("object_id", metavar=object_type.upper())
    @change_options
    @click.pass_context
    @pass_invocation
    def command(
        invocation: Invocation, context: click.Context, /, *, object_id: str, as_json: bool, dry_run: bool, **_: bool
    ) -> None:
        with open_door(invocation, context) as door:
            rows = sync_object.sync_object(door, object_type, object_id)
        show_rows(rows, as_json=as_json)
        left = [row for row in rows if not row["mirrored"]]
        if left:
            way = "without --dry-run takes them over" if dry_run else "the lanes are behind: `webhook queue-status`"
            say(f"{len(left)} of {len(rows)} objects are not in the mirror as Stripe has them; {way}")
            context.exit(EXIT_DIFFERENCES)

    return command
