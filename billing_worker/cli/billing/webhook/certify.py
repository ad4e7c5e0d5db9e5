"""Prove that no event was lost, and fetch what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_container
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._moments import MOMENT, Moment, at
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.inbox.services import certify_events
else:
    certify_events = lazy_module("billing_worker.inbox.services.certify_events")


@click.command()
@click.option("--since", type=MOMENT, help="Where the window begins, e.g. 24h; the last certificate's end otherwise.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, since: Moment | None, as_json: bool) -> int:
    """Hold Stripe's own list of events against the inbox, fetch what is missing, and write a certificate.

    Exit code 1 tells that events were missing; they are in the inbox now.
    """
    with open_container(invocation) as container, audited(container.unit_of_work, context):
        certificate = certify_events.certify_events(
            container.unit_of_work,
            container.stripe,
            livemode=container.settings.livemode,
            since=None if since is None else at(since, container.unit_of_work.now()),
            wake=container.waker.wake_lane,
        )
    show_facts(
        {
            "window_start": certificate.window_start,
            "window_end": certificate.window_end,
            "events": certificate.counts.total(),
            "missing": len(certificate.missing),
            "healed": certificate.healed,
            "of_erased_customers": certificate.erased,
            "not_subscribed": certificate.other.total(),
            "counts": dict(sorted(certificate.counts.items())),
        },
        as_json=as_json,
    )
    return EXIT_DIFFERENCES if certificate.missing else EXIT_DONE
