"""Calculate the overage of given figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_subject
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli.billing._integers import IntegerType
from billing_worker.cli.billing.overage._rows import calculation_row, show_overage_rows

if TYPE_CHECKING:
    from billing_worker.domains.overage.services import calculate_overages, load_overage_file, read_price_book
else:
    calculate_overages, load_overage_file, read_price_book = (
        lazy_module(f"billing_worker.domains.overage.services.{name}")
        for name in ("calculate_overages", "load_overage_file", "read_price_book")
    )


@click.command()
@click.option("--user", required=True, help="Whose prices and currency.")
@click.option("--actual-usage", type=IntegerType("1500"), required=True, help="Units used.")
@click.option("--quota-limit", type=IntegerType("1000"), required=True, help="Units granted.")
@click.option("--metric", help="Whose price; default: each metric that the user has a quota of.")
@click.option("--rate", metavar="AMOUNT", help="Instead of the price: so much for a unit, 0.10 is ten cents.")
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    user: str,
    actual_usage: int,
    quota_limit: int,
    metric: str | None,
    rate: str | None,
    as_json: bool,
) -> None:
    """Show what use beyond a quota would cost a user, part by part; nothing is stored. Amounts in minor units."""
    if actual_usage < 0 or quota_limit < 0:
        raise click.UsageError("--actual-usage and --quota-limit are 0 or more, for example 1500 and 1000")
    with open_subject(invocation) as subject:
        written = load_overage_file.load_overage_file(subject.settings.billing_overage_file)
        book = read_price_book.read_price_book(subject.unit_of_work, subject.gateway, written)
        now = subject.unit_of_work.now()
        with subject.unit_of_work.transaction() as session:
            found = calculate_overages.calculate_overages(
                session, user, book, used=actual_usage, limit=quota_limit, metric_type=metric, rate=rate, now=now
            )
    show_overage_rows([calculation_row(user, actual_usage, quota_limit, one) for one in found], as_json=as_json)
