"""List products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.mirror import objects
else:
    objects = lazy_module("billing_worker.mirror.objects")


@click.command()
@click.option("--active", is_flag=True, help="Without archived ones.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, active: bool, limit: int, as_json: bool) -> None:
    """List mirrored products, the last changed first."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = objects.list_objects(session, "product", where={"active": True} if active else {}, limit=limit)
    rows = [
        {
            "product": one.id,
            "name": one.data.get("name"),
            "active": one.data.get("active"),
            "default_price": one.data.get("default_price"),
            "changed_at": one.version,
        }
        for one in found
    ]
    show_rows(rows, as_json=as_json, empty="no product is mirrored")
