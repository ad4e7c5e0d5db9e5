"""List the webhook endpoints at Stripe and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_subject
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.doctor import endpoints
else:
    endpoints = lazy_module("billing_worker.doctor.endpoints")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> int:
    """List the endpoints Stripe delivers to; exit code 1 when one is disabled, double or of another API version."""
    with open_subject(invocation) as subject:
        found = endpoints.list_endpoints(subject.gateway)
    urls = Counter(one.url for one in found)
    rows = [{**asdict(one), "problems": ", ".join(endpoints.list_problems(one, urls[one.url]))} for one in found]
    show_rows(rows, as_json=as_json, empty="Stripe has no endpoint: add one for /webhooks/stripe in its Dashboard")
    return EXIT_DIFFERENCES if any(row["problems"] for row in rows) or not rows else EXIT_DONE
