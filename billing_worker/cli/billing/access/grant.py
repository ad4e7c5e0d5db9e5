"""End a revocation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import dry_run_option, json_option, reason_option
from billing_worker.cli._output import show_facts
from billing_worker.cli.billing.access._rows import access_facts

if TYPE_CHECKING:
    from billing_worker.domains.customers.queries import links
    from billing_worker.domains.subscriptions.services import grant_access
else:
    links = lazy_module("billing_worker.domains.customers.queries.links")
    grant_access = lazy_module("billing_worker.domains.subscriptions.services.grant_access")


@click.command()
@click.option("--user", required=True, metavar="ID", help="The user of your application.")
@reason_option
@dry_run_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    user: str,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """End a revocation: the user may use again what the subscriptions entitle to, which may be nothing."""
    with open_unit_of_work(invocation) as unit_of_work:
        with unit_of_work.transaction() as session:
            customer = links.get_customer_of(session, user)
        if dry_run:
            show_facts({"would_grant": user, "customer": customer}, as_json=as_json)
            return
        with audited(unit_of_work, context, reason=reason), unit_of_work.transaction() as session:
            row = grant_access.grant_access(session, customer, now=unit_of_work.now())
    show_facts(access_facts(user, row), as_json=as_json)
