"""List the certificates that no event was lost."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.inbox import certificates
else:
    certificates = lazy_module("billing_worker.inbox.certificates")


@click.command()
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, limit: int, as_json: bool) -> None:
    """List certificates, newest first: window, events of Stripe's in it, how many were missing and fetched."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = certificates.list_certificates(session, limit=limit)
    show_rows([asdict(one) for one in found], as_json=as_json, empty="none yet: nself billing webhook certify")
