"""List tax rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_container
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import say, show_rows

if TYPE_CHECKING:
    from billing_worker.domains.catalog.services import list_tax_rates
else:
    list_tax_rates = lazy_module("billing_worker.domains.catalog.services.list_tax_rates")


@click.command("list-rates")
@click.option("--active", is_flag=True, help="Without archived ones.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, active: bool, limit: int, as_json: bool) -> None:
    """List the tax rates that Stripe has, newest first."""
    with open_container(invocation) as container:
        found = list_tax_rates.list_tax_rates(
            container.unit_of_work,
            container.stripe,
            only_active=active,
            limit=limit,
            may_degrade=container.settings.billing_graceful_degradation,
        )
    rows = [
        {
            "tax_rate": rate.get("id"),
            "name": rate.get("display_name"),
            "percentage": rate.get("percentage"),
            "inclusive": rate.get("inclusive"),
            "country": rate.get("country"),
            "state": rate.get("state"),
            "active": rate.get("active"),
        }
        for rate in found.rates
    ]
    show_rows(rows, as_json=as_json, empty="Stripe has no tax rate: create one in its dashboard (Product catalog, Tax)")
    if found.why_mirror:
        say(f"this is what the mirror has, because: {found.why_mirror}")
