"""Render an invoice."""

from __future__ import annotations

import click

from billing_worker.cli.billing.invoice._pdf import rendering_command

command = rendering_command(
    "Render an invoice as PDF, or take the stored one while nothing about it has changed.",
    "Done here and now, whether `pdf-generator` runs or not; 1 when it failed, with the reason.",
    click.option("--test", is_flag=True, help="Mark it TEST and store nothing."),
    again=False,
)
