"""Show the value of a setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.stack import env_file
else:
    env_file = lazy_module("billing_worker.stack.env_file")


@click.command()
@click.argument("name")
@click.option("--reveal", is_flag=True, help="Show a secret in full.")
@json_option
@pass_invocation
def command(invocation: Invocation, name: str, *, reveal: bool, as_json: bool) -> None:
    """Show the value of a setting that counts, and where it comes from; secrets are masked."""
    setting = env_file.get_value(invocation.environ, name)
    value = setting.value if reveal else setting.masked
    if as_json:
        show_facts({"name": name, "value": value, "source": setting.source}, as_json=True)
        return
    click.echo(value)
    say(f"({setting.source}{'' if value == setting.value else ', masked: --reveal shows it'})")
