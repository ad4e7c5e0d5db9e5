"""Show and refresh the addresses Stripe delivers from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.inbox import address_rows, addresses, published_addresses
    from billing_worker.inbox.services import refresh_addresses
else:
    address_rows, addresses, published_addresses = (
        lazy_module(f"billing_worker.inbox.{name}") for name in ("address_rows", "addresses", "published_addresses")
    )
    refresh_addresses = lazy_module("billing_worker.inbox.services.refresh_addresses")


@click.command()
@click.option("--refresh", is_flag=True, help="Read Stripe's published list now.")
@click.option("--accept", is_flag=True, help="Read it and put it in force, however much it changed.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, /, *, refresh: bool, accept: bool, as_json: bool) -> int:
    """Show the addresses that may deliver when STRIPE_ENABLE_IP_WHITELIST is on, and where the list comes from.

    Exit code 1 when a changed list waits for --accept.
    """
    with open_unit_of_work(invocation) as unit_of_work:
        if refresh or accept:
            with audited(unit_of_work, context):
                change = refresh_addresses.refresh_addresses(
                    unit_of_work, published_addresses.fetch_published, accept=accept
                )
            say(f"{change.outcome}: {len(change.added)} added, {len(change.removed)} removed")
        with unit_of_work.transaction() as session:
            active = address_rows.find_addresses(session, "active")
            proposed = address_rows.find_addresses(session, "proposed")
    facts = {
        "source": addresses.SOURCE_URL if active else "this release",
        "checked": active.checked_at if active else None,
        "networks": active.networks if active else addresses.shipped_addresses().networks,
        "proposed_added": proposed.added if proposed else (),
        "proposed_removed": proposed.removed if proposed else (),
    }
    show_facts(facts, as_json=as_json)
    return EXIT_DIFFERENCES if proposed else EXIT_DONE
