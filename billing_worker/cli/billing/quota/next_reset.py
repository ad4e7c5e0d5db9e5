"""Show when quotas are reset next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.domains.quotas.queries import resets
else:
    resets = lazy_module("billing_worker.domains.quotas.queries.resets")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show when the next periods end, how many quotas are reset then, and how many resets are overdue."""
    with open_unit_of_work(invocation) as unit_of_work:
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            coming = resets.get_next_reset(session, now)
    facts = {"next_reset_at": coming.at, "in": coming.at - now if coming.at else None}
    show_facts(facts | {"quotas": coming.quotas, "overdue": coming.overdue}, as_json=as_json)
