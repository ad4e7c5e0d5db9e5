"""`subscription show` and `subscription compare`: one object, beside Stripe's if asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_subject
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts, show_rows
from billing_worker.cli.billing.subscription._facts import subscription_facts

if TYPE_CHECKING:
    from billing_worker.changes import standing
else:
    standing = lazy_module("billing_worker.changes.standing")


def show_command(summary: str, more: str, *, compares: bool) -> click.Command:
    """Make the command: `compares` says whether Stripe is asked in any case."""

    @click.command(help=f"{summary}\n\n{more}")
    @click.argument("subscription_id", metavar="SUBSCRIPTION")
    @click.option("--compare-stripe", is_flag=True, default=compares, hidden=compares, help="Ask Stripe as well.")
    @json_option
    @click.pass_context
    @pass_invocation
    def command(
        invocation: Invocation, context: click.Context, subscription_id: str, *, compare_stripe: bool, as_json: bool
    ) -> None:
        with open_subject(invocation) as subject:
            with subject.unit_of_work.transaction() as session:
                found = standing.get_standing(session, "subscription", subscription_id)
            if compare_stripe:
                found = standing.compare_standing(subject.gateway, "subscription", found)
        facts = {**subscription_facts(found.data), "as_of": found.version}
        rows = [{"field": name, "mirror": here, "stripe": there} for name, (here, there) in found.differences.items()]
        if as_json:
            show_facts({**facts, **({"differences": rows} if found.compared else {})}, as_json=True)
        else:
            show_facts(facts, as_json=False)
            if found.compared:
                show_rows(rows, as_json=False, empty="mirror and Stripe agree")
        if rows:
            say(f"`nself billing subscription rebuild-state {subscription_id}` says what the events support")
            context.exit(EXIT_DIFFERENCES)

    return command
