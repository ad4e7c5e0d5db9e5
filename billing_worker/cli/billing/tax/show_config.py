"""Show how tax is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli._stripe import impatient_gateway

if TYPE_CHECKING:
    from billing_worker.doctor.services import describe_tax
else:
    describe_tax = lazy_module("billing_worker.doctor.services.describe_tax")


@click.command("show-config")
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show who computes tax by the settings, and whether Stripe Tax is ready for it."""
    settings = load_command_settings(invocation)
    show_facts(describe_tax.describe_tax(settings, impatient_gateway(settings)), as_json=as_json)
