"""Prove that Stripe, database and Redis can be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_subject
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.doctor.states import Component, Verdict

if TYPE_CHECKING:
    from billing_worker.doctor.services import examine
else:
    examine = lazy_module("billing_worker.doctor.services.examine")

NEEDED = (Component.DATABASE, Component.REDIS, Component.STRIPE)
REACHED = frozenset({"round_trip", "ping", "account"})
"""The checks that ask for an answer and nothing more."""


@click.command()
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, as_json: bool) -> None:
    """Prove that Stripe, database and Redis can be reached; exit code 1 when one cannot.

    `nself billing health` examines everything else and says what mends it.
    """
    with open_subject(invocation) as subject:
        examined = (finding for component in NEEDED for finding in examine.examine(subject, component=component))
        findings = [finding for finding in examined if finding.check in REACHED]
    show_rows(
        [
            {"component": each.component, "check": each.check, "verdict": each.verdict, "evidence": each.evidence}
            for each in findings
        ],
        as_json=as_json,
    )
    if any(each.verdict is Verdict.FAILED for each in findings):
        context.exit(EXIT_DIFFERENCES)
