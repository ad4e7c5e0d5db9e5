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
    from billing_worker.inbox.certificates import Certificate
    from billing_worker.inbox.services import certify_accounts
else:
    certify_accounts = lazy_module("billing_worker.inbox.services.certify_accounts")


@click.command()
@click.option("--since", type=MOMENT, help="Where the window begins, e.g. 24h; the last certificate's end otherwise.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, since: Moment | None, as_json: bool) -> int:
    """Hold Stripe's own list of events against the inbox, fetch what is missing, and write a certificate.

    Exit code 1 tells that events were missing (they are in the inbox now), or that an account could not be certified.
    """
    with open_container(invocation) as container, audited(container.unit_of_work, context):
        certified = certify_accounts.certify_accounts(
            container.unit_of_work,
            container.stripe,
            livemode=container.settings.livemode,
            since=None if since is None else at(since, container.unit_of_work.now()),
            wake=container.waker.wake_lane,
        )
    own, *connected = certified.certificates
    facts = _describe(own)
    if connected or certified.refused:
        facts["connected"] = [{"account": one.account_id, **_describe(one)} for one in connected]
        facts["not_certified"] = certified.refused
    show_facts(facts, as_json=as_json)
    missing = any(one.missing for one in certified.certificates)
    return EXIT_DIFFERENCES if missing or certified.refused else EXIT_DONE


def _describe(certificate: Certificate) -> dict[str, object]:
    return {
        "window_start": certificate.window_start,
        "window_end": certificate.window_end,
        "events": certificate.counts.total(),
        "missing": len(certificate.missing),
        "healed": certificate.healed,
        "of_erased_customers": certificate.erased,
        "not_subscribed": certificate.other.total(),
        "statuses": dict(sorted(certificate.statuses.items())),
        "counts": dict(sorted(certificate.counts.items())),
        "missing_by_type": dict(sorted(certificate.missing_by_type.items())),
    }
