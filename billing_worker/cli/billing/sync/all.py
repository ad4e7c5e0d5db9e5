"""Take everything over from Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_container
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli.billing.reconcile._runs import compare_and_show

if TYPE_CHECKING:
    from billing_worker.domains.reconciliation import rules
else:
    rules = lazy_module("billing_worker.domains.reconciliation.rules")


@click.command()
@click.option("--dry-run", is_flag=True, help="Compare everything, change nothing.")
@click.option("--execute", is_flag=True, help="Compare everything and take over what differs.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, dry_run: bool, execute: bool, as_json: bool) -> None:
    """Compare every type with Stripe, page by page; exit code 1 when something differed.

    It reads all of Stripe: with many objects it takes its time, and `nself billing reconcile --resume` goes on after an
    interruption. What differs is sent through the lanes like an event; what is newer here stays.
    """
    if dry_run == execute:
        raise click.UsageError("say which: `sync all --dry-run` compares, `sync all --execute` takes over what differs")
    with open_container(invocation) as container:
        compare_and_show(container, context, rules.Scope(heals=execute), must_resume=False, as_json=as_json)
