"""`subscription simulate-change` and `subscription preview-change`."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_subject
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts, show_rows
from billing_worker.cli._written_times import WRITTEN_TIME
from billing_worker.cli.billing.subscription._amendment import PRORATION, amend
from billing_worker.cli.billing.subscription._facts import line_rows, preview_facts

if TYPE_CHECKING:
    from billing_worker.domains.subscriptions.services import preview_change
    from billing_worker.domains.subscriptions.services.preview_change import ChangePreview
else:
    preview_change = lazy_module("billing_worker.domains.subscriptions.services.preview_change")


def preview_command(summary: str, more: str, *, shows_lines: bool) -> click.Command:
    """Make the command: with `shows_lines` for the changed invoice, otherwise before and after."""

    @click.command(help=f"{summary}\n\n{more}")
    @click.option("--subscription", "subscription_id", required=True, metavar="SUB", help="Which one.")
    @click.option("--new-price", "price_id", metavar="PRICE", help="The price it would have.")
    @click.option("--quantity", type=click.IntRange(0), help="The quantity it would have.")
    @click.option("--item", "item_id", metavar="SI", help="Which item, where there are several.")
    @click.option("--proration-date", type=WRITTEN_TIME, help="As if changed then; without it, now.")
    @click.option("--proration-behavior", type=click.Choice(PRORATION), help="Instead of STRIPE_PRORATION_BEHAVIOR.")
    @json_option
    @pass_invocation
    def command(
        invocation: Invocation,
        /,
        *,
        subscription_id: str,
        price_id: str | None,
        quantity: int | None,
        item_id: str | None,
        proration_date: date | None,
        proration_behavior: str | None,
        as_json: bool,
    ) -> None:
        if price_id is None and quantity is None:
            raise click.UsageError("nothing would change: give --new-price or --quantity, e.g. --new-price price_456")
        amendment = amend(
            load_command_settings(invocation),
            proration_date=proration_date,
            price_id=price_id,
            quantity=quantity,
            item_id=item_id,
            proration_behavior=proration_behavior,
        )
        with open_subject(invocation) as subject:
            found = preview_change.preview_change(subject.gateway, subscription_id, amendment)
        (_show_lines if shows_lines else _show_difference)(found, subscription_id, as_json=as_json)

    return command


def _show_lines(found: ChangePreview, _subscription_id: str, *, as_json: bool) -> None:
    facts = preview_facts(found.after)
    rows = line_rows(found.after.lines)
    show_facts(facts if as_json else {**facts, "lines": len(rows)}, as_json=as_json)
    if not as_json:
        show_rows(rows, as_json=False)


def _show_difference(found: ChangePreview, subscription_id: str, *, as_json: bool) -> None:
    facts = {
        "subscription": subscription_id,
        "currency": found.after.currency,
        "next_invoice_before_minor": found.before.amount_due_minor,
        "next_invoice_after_minor": found.after.amount_due_minor,
        "difference_minor": found.difference_minor,
        "of_which_proration_minor": found.after.proration_minor - found.before.proration_minor,
        "due_at": found.after.due_at,
    }
    show_facts(facts, as_json=as_json)
