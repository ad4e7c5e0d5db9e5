"""Show a message as it will be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import say
from billing_worker.domains.notifications.states import Template

if TYPE_CHECKING:
    from billing_worker.domains.notifications import rules, samples
    from billing_worker.domains.notifications.services import render_message
else:
    rules, samples = (lazy_module(f"billing_worker.domains.notifications.{name}") for name in ("rules", "samples"))
    render_message = lazy_module("billing_worker.domains.notifications.services.render_message")


@click.command()
@click.argument("template", type=click.Choice([template.value for template in Template]), metavar="TEMPLATE")
@click.option(
    "--to-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the HTML there, to be opened in a browser.",
)
@pass_invocation
def command(invocation: Invocation, *, template: str, to_file: Path | None) -> None:
    """Show a message with example facts as it will be read: the text, or the HTML in a file. Nothing is sent."""
    settings = load_command_settings(invocation)
    sender, _ = rules.split_sender(settings.mail_from or "billing@example.com")
    reader = render_message.Reader(samples.NAME, sender, samples.PAGE, settings.billing_timezone)
    chosen = Template(template)
    rendered = render_message.render_message(chosen, samples.SAMPLES[chosen], reader)
    click.echo(f"Subject: {rendered.subject}\n\n{rendered.text}")
    if to_file is not None:
        to_file.write_text(rendered.html, encoding="utf-8")
        say(f"written to {to_file}")
