"""Connect a customer with a user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import dry_run_option, json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.audit import rules
    from billing_worker.domains.customers.services import link_customer
    from billing_worker.mirror import objects
else:
    rules = lazy_module("billing_worker.audit.rules")
    link_customer = lazy_module("billing_worker.domains.customers.services.link_customer")
    objects = lazy_module("billing_worker.mirror.objects")


@click.command()
@click.option("--customer", required=True, metavar="ID", help="A mirrored customer, e.g. cus_123.")
@click.option("--user", required=True, metavar="ID", help="The user of your application.")
@dry_run_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation, context: click.Context, /, *, customer: str, user: str, dry_run: bool, as_json: bool
) -> None:
    """Connect a customer with a user; nothing changes at Stripe."""
    with open_unit_of_work(invocation) as unit_of_work:
        with unit_of_work.transaction() as session:
            objects.get_object(session, "customer", customer)
        if dry_run:
            show_facts({"would_link": customer, "user": user}, as_json=as_json)
            return
        with audited(unit_of_work, context), unit_of_work.transaction() as session:
            is_new = link_customer.link_customer(
                session, customer_id=customer, user_id=user, linked_by=rules.name_actor(), now=unit_of_work.now()
            )
    show_facts({"customer": customer, "user": user, "was_linked_already": not is_new}, as_json=as_json)
