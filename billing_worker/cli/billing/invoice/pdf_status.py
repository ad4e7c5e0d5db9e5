"""Show the renderings of an invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.invoice._pdf import pdf_facts

if TYPE_CHECKING:
    from billing_worker.domains.invoices import pdf_queries
    from billing_worker.mirror import objects
else:
    pdf_queries = lazy_module("billing_worker.domains.invoices.pdf_queries")
    objects = lazy_module("billing_worker.mirror.objects")


@click.command("pdf-status")
@click.argument("invoice_id", metavar="INVOICE")
@json_option
@pass_invocation
def command(invocation: Invocation, *, invoice_id: str, as_json: bool) -> None:
    """Show what became of an invoice's PDFs, newest first; `outdated`: the invoice has changed since."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = objects.get_object(session, "invoice", invoice_id)
        rows = [
            {**pdf_facts(pdf), "outdated": pdf.invoice_version < found.version}
            for pdf in pdf_queries.list_pdfs(session, invoice_id)
        ]
    show_rows(rows, as_json=as_json, empty=f"never rendered: `nself billing invoice generate-pdf {invoice_id}`")
