"""Show what a user used beyond the quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_subject
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli.billing.overage._rows import open_row, overage_row, show_overage_rows

if TYPE_CHECKING:
    from billing_worker.domains.overage.services import load_overage_file, read_price_book, show_overages
else:
    load_overage_file, read_price_book, show_overages = (
        lazy_module(f"billing_worker.domains.overage.services.{name}")
        for name in ("load_overage_file", "read_price_book", "show_overages")
    )


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, user: str, limit: int, as_json: bool) -> None:
    """Show open periods with what they come to by now, then past overage with its way to the invoice."""
    with open_subject(invocation) as subject:
        written = load_overage_file.load_overage_file(subject.settings.billing_overage_file)
        book = read_price_book.read_price_book(subject.unit_of_work, subject.gateway, written)
        now = subject.unit_of_work.now()
        with subject.unit_of_work.transaction() as session:
            shown = show_overages.show_overages(session, user, book, now=now, limit=limit)
            rows = [open_row(period, calculation) for period, calculation in shown.opened]
            rows += [overage_row(row, invoice) for row, invoice in shown.rows]
    show_overage_rows(rows, as_json=as_json)
