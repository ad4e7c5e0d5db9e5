"""Show the template of invoices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.domains.invoices import templates, typesetter
    from billing_worker.domains.invoices.services import copy_template
else:
    templates = lazy_module("billing_worker.domains.invoices.templates")
    typesetter = lazy_module("billing_worker.domains.invoices.typesetter")
    copy_template = lazy_module("billing_worker.domains.invoices.services.copy_template")


@click.command("show-template")
@click.option(
    "--copy-to", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Put ours there, to be edited."
)
@json_option
@pass_invocation
def command(invocation: Invocation, *, copy_to: Path | None, as_json: bool) -> None:
    """Show the template that invoices are rendered with, where it lies and which fonts it has."""
    if copy_to is not None:
        copied = copy_template.copy_template(copy_to)
        show_facts({"template": str(copied), "then": f"nself env set PDF_TEMPLATE_DIR={copy_to}"}, as_json=as_json)
        return
    settings = load_command_settings(invocation)
    template = templates.find_template(settings.pdf_template_dir)
    facts = {
        "template": str(template.main),
        "own": settings.pdf_template_dir is not None,
        "logo": template.logo or None,
        "font_packages": [Path(folder).name for folder in typesetter.find_font_folders()],
        "font_dir": None if settings.pdf_font_dir is None else str(settings.pdf_font_dir),
    }
    content = template.main.read_text(encoding="utf-8")
    if as_json:
        show_facts({**facts, "content": content}, as_json=True)
        return
    for name, value in facts.items():
        say(f"{name}: {value}")
    click.echo(content, nl=False)
