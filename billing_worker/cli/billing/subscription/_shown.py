"""`subscription show` and `subscription compare`: one object, beside Stripe's if asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._mirror import show_comparison, show_object
from billing_worker.cli._options import json_option
from billing_worker.cli.billing.subscription._facts import subscription_facts

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from billing_worker.mirror import objects
else:
    objects = lazy_module("billing_worker.mirror.objects")


def show_command(summary: str, more: str, *, compares: bool) -> click.Command:
    """Make the command: `compares` says whether Stripe is asked in any case."""

    @click.command(help=f"{summary}\n\n{more}")
    @click.argument("subscription_id", metavar="SUBSCRIPTION")
    @click.option("--compare-stripe", is_flag=True, default=compares, hidden=compares, help="Ask Stripe as well.")
    @json_option
    @pass_invocation
    def command(invocation: Invocation, subscription_id: str, *, compare_stripe: bool, as_json: bool) -> None:
        def describe(session: Session) -> dict[str, object]:
            found = objects.get_object(session, "subscription", subscription_id)
            return {**subscription_facts(found.data), "as_of": found.version}

        if compare_stripe:
            show_comparison(invocation, "subscription", subscription_id, describe, as_json=as_json)
        else:
            show_object(invocation, describe, as_json=as_json)

    return command
