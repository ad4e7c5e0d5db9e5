"""Check every component and say what is wrong, why, and what mends it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_subject
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts, show_rows
from billing_worker.doctor.states import Component, Verdict, worst_of

if TYPE_CHECKING:
    from billing_worker.doctor.services import examine
else:
    examine = lazy_module("billing_worker.doctor.services.examine")


@click.command()
@click.option("--component", type=click.Choice([each.value for each in Component]), help="Only one component.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, component: str | None, *, as_json: bool) -> None:
    """Check every component and say what is wrong, why, and what mends it; exit code 1 when anything is.

    `degraded` works and wants a look, `failed` does not do its work.
    """
    with open_subject(invocation) as subject:
        findings = examine.examine(subject, component=None if component is None else Component(component))
    verdict = worst_of([finding.verdict for finding in findings])
    if as_json:
        show_facts({"verdict": verdict, "findings": [asdict(finding) for finding in findings]}, as_json=True)
    else:
        show_rows(
            [
                {"component": each.component, "check": each.check, "verdict": each.verdict, "evidence": each.evidence}
                for each in findings
            ],
            as_json=False,
        )
        for each in findings:
            if each.verdict is not Verdict.OK:
                say(f"\n{each.component} {each.check}: {each.cause}")
                say("\n".join(f"  {command}" for command in each.commands))
    if verdict is not Verdict.OK:
        context.exit(EXIT_DIFFERENCES)
