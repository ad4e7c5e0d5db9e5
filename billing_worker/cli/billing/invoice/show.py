"""Show an invoice, or what a user owes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts, show_rows
from billing_worker.cli.billing.invoice._facts import invoice_facts, line_rows

if TYPE_CHECKING:
    from billing_worker.domains.invoices import lines
    from billing_worker.domains.invoices.services import find_newest_invoice
    from billing_worker.mirror import objects
else:
    objects = lazy_module("billing_worker.mirror.objects")
    lines = lazy_module("billing_worker.domains.invoices.lines")
    find_newest_invoice = lazy_module("billing_worker.domains.invoices.services.find_newest_invoice")


@click.command()
@click.argument("invoice_id", metavar="INVOICE", required=False)
@click.option("--user", help="Instead of an id: the newest invoice of this user.")
@click.option("--show-lines", is_flag=True, help="Its lines as well.")
@click.option("--show-tax", is_flag=True, help="Its taxes as well, line by line.")
@click.option("--show-overage", is_flag=True, help="Only lines that bill overage, with what they are for.")
@click.option("--verbose", is_flag=True, help="Every fact, the lines and the taxes.")
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    invoice_id: str | None,
    user: str | None,
    show_lines: bool,
    show_tax: bool,
    show_overage: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Show an invoice as the mirror has it; amounts in minor units."""
    if (invoice_id is None) == (user is None):
        raise click.UsageError("name one invoice or a user: `invoice show in_123` or `invoice show --user user123`")
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        wanted = invoice_id or find_newest_invoice.find_newest_invoice(session, str(user))
        found = objects.get_object(session, "invoice", wanted)
    parts: dict[str, list[dict[str, object]]] = {}
    if show_lines or verbose or show_overage:
        overage = {str(line.get("id")) for line in lines.list_lines(found.data) if lines.is_overage(line)}
        parts["lines"] = [dict(row) for row in line_rows(found.data) if not show_overage or row["line"] in overage]
    if show_tax or verbose:
        parts["taxes"] = [dict(row) for row in lines.tax_rows(found.data)]
    facts = {**invoice_facts(found.data, verbose=verbose), "as_of": found.version}
    if as_json:
        show_facts({**facts, **parts}, as_json=True)
        return
    show_facts(facts, as_json=False)
    for title, rows in parts.items():
        say(f"{title}:")
        show_rows(rows, as_json=False, empty="none")
