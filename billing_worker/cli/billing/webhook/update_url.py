"""Change the address Stripe delivers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_subject
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import confirm, dry_run_option, json_option, yes_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.inbox import endpoints
    from billing_worker.inbox.services import update_endpoint_url
else:
    endpoints = lazy_module("billing_worker.inbox.endpoints")
    update_endpoint_url = lazy_module("billing_worker.inbox.services.update_endpoint_url")


@click.command()
@click.argument("url")
@click.option("--endpoint", "endpoint_id", metavar="WE_ID", help="Which endpoint, when several are enabled.")
@dry_run_option
@yes_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    url: str,
    *,
    endpoint_id: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Have Stripe deliver to another address; the endpoint keeps its secret and its events.

    Refused: http in live mode, addresses Stripe cannot reach, paths the receiver does not listen on.
    """
    with open_subject(invocation) as subject:
        checked = endpoints.check_url(
            url, livemode=subject.settings.livemode, api_base=subject.settings.stripe_api_base
        )

        def change(*, is_dry_run: bool) -> dict[str, object]:
            before, after = update_endpoint_url.update_endpoint_url(
                subject.gateway, checked, endpoint_id=endpoint_id, is_dry_run=is_dry_run
            )
            return {"endpoint": before.id, "from": before.url, "to": checked, "changed": before.url != after.url}

        planned = change(is_dry_run=True)
        if dry_run or planned["from"] == checked:
            show_facts(planned, as_json=as_json)
            return
        confirm(f"Have {planned['endpoint']} deliver to {checked} instead of {planned['from']}?", yes=yes)
        with audited(subject.unit_of_work, context):
            facts = change(is_dry_run=False)
    show_facts(facts, as_json=as_json)
    say(f"prove the way: nself billing webhook test-signature --url {checked}")
