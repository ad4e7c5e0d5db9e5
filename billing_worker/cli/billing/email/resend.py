"""Send a message again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.domains.notifications import queries, rules
    from billing_worker.domains.notifications.services import resend_message
else:
    queries, rules = (lazy_module(f"billing_worker.domains.notifications.{name}") for name in ("queries", "rules"))
    resend_message = lazy_module("billing_worker.domains.notifications.services.resend_message")


@click.command()
@click.argument("message", metavar="MSG")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit trail.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, /, *, message: str, reason: str, as_json: bool) -> None:
    """Send a message again, to the customer's address of now; one that never went out keeps its Message-ID."""
    settings = load_command_settings(invocation)
    with open_unit_of_work(invocation) as unit_of_work:
        with unit_of_work.transaction() as session:
            found = queries.get_message(session, message)
        with audited(unit_of_work, context, reason=reason), unit_of_work.transaction() as session:
            found = queries.get_message(session, message)
            resent = resend_message.resend_message(session, found, now=unit_of_work.now())
    facts = {"message": f"{queries.MESSAGE_PREFIX}{found.id}", "effect": resent.effect_key, "is_copy": resent.is_copy}
    show_facts(facts, as_json=as_json)
    why_not = rules.check_sending(is_enabled=settings.mail_enabled, sender=settings.mail_from)
    if why_not is not None:
        say(f"no mail will go out: {why_not}")
