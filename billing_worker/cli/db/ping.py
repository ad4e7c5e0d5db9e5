"""Measure the database's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.doctor.services import ping_database
else:
    ping_database = lazy_module("billing_worker.doctor.services.ping_database")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Measure the database's answer; exit code 5 when there is none."""
    with open_unit_of_work(invocation) as unit_of_work:
        ping = ping_database.ping_database(unit_of_work)
    show_facts({"answers": True, "connect_ms": ping.connect_ms, "statement_ms": ping.statement_ms}, as_json=as_json)
