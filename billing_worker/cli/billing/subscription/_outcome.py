"""How a changed subscription is shown, with what it still needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import show_change
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._output import say
from billing_worker.cli.billing.subscription._facts import subscription_facts

if TYPE_CHECKING:
    from billing_worker.changes.change import Changed
    from billing_worker.domains.payments.services.find_next_step import NextStep


def end_with_outcome(context: click.Context, changed: Changed, step: NextStep | None, *, as_json: bool) -> None:
    """Show a subscription after a change; exit code 1 when its payment still needs something."""
    facts = {} if changed.is_planned else subscription_facts(changed.data)
    if step is not None:
        facts |= {"needs": step.kind, "decline_code": step.decline_code, "pay_url": step.url}
    show_change(changed, facts, as_json=as_json)
    if step is not None:
        say(step.explanation)
        context.exit(EXIT_DIFFERENCES)
