"""What the commands of rendered invoices share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from billing_worker.cli._container import open_container
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.domains.invoices import typesetter
    from billing_worker.domains.invoices.models import InvoicePdf
    from billing_worker.domains.invoices.services import make_pdf, make_sample, read_content
else:
    typesetter = lazy_module("billing_worker.domains.invoices.typesetter")
    make_pdf, make_sample, read_content = (
        lazy_module(f"billing_worker.domains.invoices.services.{name}")
        for name in ("make_pdf", "make_sample", "read_content")
    )

TEST_MARK = "TEST"
SHOWN_DIGITS = 12

output_option = click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the PDF there."
)


def rendering_command(text: str, more: str, *options: Any, again: bool) -> click.Command:  # noqa: ANN401 - decorators
    """Make a command that renders an invoice; with `again` what is stored is rendered anew."""

    @click.pass_context
    @pass_invocation
    def command(
        invocation: Invocation,
        context: click.Context,
        /,
        *,
        invoice_id: str,
        output: Path | None,
        as_json: bool,
        test: bool = False,
    ) -> None:
        with open_container(invocation) as container:
            setter = typesetter.Typesetter.from_settings(container.settings)
            maker = read_content.PdfMaker(container.unit_of_work, container.stripe, container.settings, setter)
            body: bytes | None
            if test:
                sample = make_sample.make_sample(maker, invoice_id, mark=TEST_MARK)
                facts, body = sample_facts(invoice_id, sample), sample.body
            else:
                pdf, is_new = make_pdf.make_pdf(maker, invoice_id, again=again)
                facts, body = {**pdf_facts(pdf), "from_cache": not is_new}, pdf.body
        if output is not None and body is not None:
            output.write_bytes(body)
            facts["written_to"] = str(output)
        show_facts(facts, as_json=as_json)
        if test and output is None:
            say("rendered and thrown away: add --output FILE to look at it")
        if body is None:
            context.exit(1)

    decorated: Any = output_option(json_option(command))
    for option in reversed(options):
        decorated = option(decorated)
    return click.command(help=f"{text}\n\n{more}")(click.argument("invoice_id", metavar="INVOICE")(decorated))


def pdf_facts(pdf: InvoicePdf) -> dict[str, object]:
    """Show a stored rendering."""
    return {
        "invoice": pdf.invoice_id,
        "status": pdf.status,
        "pages": pdf.pages,
        "requested_at": pdf.requested_at,
        "finished_at": pdf.finished_at,
        "duration_ms": pdf.duration_ms,
        "peak_memory_bytes": pdf.peak_memory_bytes,
        "attempts": pdf.attempts,
        "content_hash": pdf.content_hash[:SHOWN_DIGITS],
        "detail": pdf.detail,
    }


def sample_facts(invoice_id: str, sample: typesetter.TypesetPdf) -> dict[str, object]:
    """Show a rendering that is not stored."""
    facts: Mapping[str, object] = {
        "invoice": invoice_id,
        "status": "test",
        "pages": sample.pages,
        "duration_ms": sample.duration_ms,
        "peak_memory_bytes": sample.peak_memory_bytes,
        "detail": sample.remarks,
    }
    return dict(facts)
