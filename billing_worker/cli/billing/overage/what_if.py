"""Ask what past overage would have cost at another price."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows

if TYPE_CHECKING:
    from billing_worker.domains.overage import pricing
    from billing_worker.domains.overage.rules import OveragePrice
    from billing_worker.domains.overage.services import load_overage_file, reprice_overages
else:
    pricing = lazy_module("billing_worker.domains.overage.pricing")
    load_overage_file, reprice_overages = (
        lazy_module(f"billing_worker.domains.overage.services.{name}")
        for name in ("load_overage_file", "reprice_overages")
    )


@click.command()
@click.option("--metric", required=True, help="One of `nself billing usage list-metrics`.")
@click.option("--rate", metavar="AMOUNT", help="So much for a unit, in dollars or alike: 0.10 is ten cents.")
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of prices like BILLING_OVERAGE_FILE.",
)
@click.option("--user", help="Only this user.")
@json_option
@pass_invocation
def command(
    invocation: Invocation, *, metric: str, rate: str | None, path: Path | None, user: str | None, as_json: bool
) -> None:
    """Price real past overage anew, and show whom it would cost more or less; nothing is changed. Minor units."""
    if (rate is None) == (path is None):
        raise click.UsageError("name one of both: --rate 0.10, or --file prices.yml for tiers, packages and caps")
    written = load_overage_file.load_overage_file(path) if path else ()

    def price_in(currency: str) -> OveragePrice | None:
        return pricing.find_trial_price(written, metric, currency, rate=rate)

    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = reprice_overages.reprice_overages(session, metric, price_in, user_id=user)
    rows = [
        {
            "user": one.user_id,
            "currency": one.currency,
            "periods": one.periods,
            "units": one.units,
            "charged_minor": one.charged_minor,
            "would_be_minor": one.would_be_minor,
            "difference_minor": one.would_be_minor - one.charged_minor,
        }
        for one in found
    ]
    show_rows(rows, as_json=as_json, empty=f"no past overage of {metric} that these prices fit")
    more = sum(one.would_be_minor > one.charged_minor for one in found)
    say(f"{more} of {len(found)} would have paid more")
