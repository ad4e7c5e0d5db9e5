"""Say whether a customer may have a trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.kernel.clock import from_unix

if TYPE_CHECKING:
    from billing_worker.domains.customers.services import check_trial_eligibility
else:
    check_trial_eligibility = lazy_module("billing_worker.domains.customers.services.check_trial_eligibility")


@click.command("trial-eligibility")
@click.argument("customer")
@json_option
@pass_invocation
def command(invocation: Invocation, *, customer: str, as_json: bool) -> None:
    """Say whether a customer may have a trial: one for each user, mail address and, in live mode, card."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = check_trial_eligibility.check_trial_eligibility(session, customer)
    trials = [
        {
            "customer": trial.customer_id,
            "why_it_counts": trial.why,
            "subscription": trial.subscription_id,
            "started_at": from_unix(trial.started_at).isoformat(),
            "ends_at": from_unix(trial.ends_at).isoformat(),
        }
        for trial in found.trials
    ]
    facts = {"customer": customer, "eligible": found.is_eligible, "reason": found.reason, "trials": trials}
    show_facts(facts, as_json=as_json)
