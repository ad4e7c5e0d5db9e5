"""Mail a template to many customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import confirm, dry_run_option, json_option, reason_option, yes_option
from billing_worker.cli._output import say, show_facts
from billing_worker.domains.notifications.rules import GENERAL, check_sending
from billing_worker.domains.notifications.states import Template

if TYPE_CHECKING:
    from billing_worker.domains.notifications import queries, recipients
    from billing_worker.domains.notifications.services import notify_customers
else:
    queries, recipients = (
        lazy_module(f"billing_worker.domains.notifications.{name}") for name in ("queries", "recipients")
    )
    notify_customers = lazy_module("billing_worker.domains.notifications.services.notify_customers")


@click.command("notify-customers")
@click.option(
    "--template", required=True, type=click.Choice([one.value for one in GENERAL]), help="What they are told."
)
@click.option("--customers", type=click.File(encoding="utf-8"), metavar="FILE", help="CSV with a column customer_id.")
@click.option("--all-active", is_flag=True, help="Every customer with a subscription that is not over.")
@click.option("--occasion", metavar="NAME", help="Who was told of it is not told again; today's date unless given.")
@reason_option
@dry_run_option
@yes_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    template: str,
    customers: TextIO | None,
    all_active: bool,
    occasion: str | None,
    reason: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Mail a template to many customers, each once per occasion; a run that broke off is simply repeated."""
    if (customers is None) != all_active:
        raise click.UsageError("say to whom: `--customers customers.csv` or `--all-active`")
    settings = load_command_settings(invocation)
    named = [] if customers is None else recipients.read_customer_ids(customers)
    with open_unit_of_work(invocation) as unit_of_work:
        now = unit_of_work.now()
        if all_active:
            with unit_of_work.transaction() as session:
                named = queries.list_active_customers(session)
        chosen, named_occasion = Template(template), occasion or f"{now:%Y-%m-%d}"
        if dry_run:
            counts = notify_customers.notify_customers(
                unit_of_work, named, chosen, occasion=named_occasion, is_dry_run=True
            )
        else:
            confirm(f"Mail {template} to {len(named)} customers?", yes=yes)
            with audited(unit_of_work, context, reason=reason):
                counts = notify_customers.notify_customers(unit_of_work, named, chosen, occasion=named_occasion)
    facts = {"template": template, "occasion": named_occasion, "customers": len(named), **counts}
    show_facts({**facts, "dry_run": dry_run}, as_json=as_json)
    why_not = check_sending(is_enabled=settings.mail_enabled, sender=settings.mail_from)
    if why_not is not None:
        say(f"no mail will go out: {why_not}")
    if counts["unknown"]:
        say("unknown customers are not in the mirror: `nself billing customer import cus_123` brings one")
        context.exit(1)
