"""Mail a template to a customer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import dry_run_option, json_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.domains.notifications import rules
    from billing_worker.domains.notifications.services import request_message
else:
    rules = lazy_module("billing_worker.domains.notifications.rules")
    request_message = lazy_module("billing_worker.domains.notifications.services.request_message")


@click.command()
@click.option("--customer", required=True, metavar="ID", help="A mirrored customer, e.g. cus_123.")
@click.option("--template", required=True, help="payment_failed, receipt, trial_ending or one of `notify-customers`.")
@dry_run_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation, context: click.Context, /, *, customer: str, template: str, dry_run: bool, as_json: bool
) -> None:
    """Mail a template to a customer, about the newest invoice or subscription it fits; once a day at most."""
    settings = load_command_settings(invocation)
    with open_unit_of_work(invocation) as unit_of_work:
        if dry_run:
            with unit_of_work.transaction() as session:
                asked = request_message.request_message(
                    session, customer, template, now=unit_of_work.now(), is_dry_run=True
                )
        else:
            with audited(unit_of_work, context), unit_of_work.transaction() as session:
                asked = request_message.request_message(session, customer, template, now=unit_of_work.now())
    facts = {"customer": customer, "template": asked.template.value, "about": asked.about, "queued": asked.is_new}
    show_facts(facts | {"effect": asked.effect_key}, as_json=as_json)
    if not asked.is_new:
        say("it was asked for today already: `nself billing email list` shows what became of it")
    why_not = rules.check_sending(is_enabled=settings.mail_enabled, sender=settings.mail_from)
    if why_not is not None:
        say(f"no mail will go out: {why_not}")
