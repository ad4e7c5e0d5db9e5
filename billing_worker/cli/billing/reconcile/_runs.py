"""Runs a comparison for an operator: progress on stderr, the figures on stdout, an audit row, the exit code."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.audit import rules as audit_rules
    from billing_worker.audit import states as audit_states
    from billing_worker.domains.reconciliation.rules import Scope
    from billing_worker.domains.reconciliation.services import reconcile
    from billing_worker.worker.container import Container
else:
    audit_rules, audit_states = (lazy_module(f"billing_worker.audit.{name}") for name in ("rules", "states"))
    reconcile = lazy_module("billing_worker.domains.reconciliation.services.reconcile")


def compare_and_show(
    container: Container, context: click.Context, scope: Scope, *, must_resume: bool, as_json: bool
) -> None:
    """Run a comparison to its end and leave with exit code 1 when something differed."""
    with audited(container.unit_of_work, context) as action:
        ended = reconcile.reconcile(
            container.unit_of_work,
            container.stripe,
            scope=scope,
            started_by=audit_rules.name_actor(),
            must_resume=must_resume,
            on_progress=_Progress(),
        )
        if ended.differing:
            action.conclude(audit_states.ActionOutcome.DIFFERENCES, f"{ended.differing} of {ended.compared} differ")
    show_facts(asdict(ended), as_json=as_json)
    if ended.differing:
        say("what differs: nself billing reconcile show-diff")
        context.exit(EXIT_DIFFERENCES)


class _Progress:
    """Tells each type once, when it begins."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, object_type: str, compared: int) -> None:
        if object_type != self._told:
            self._told = object_type
            say(f"comparing {object_type}, {compared} objects so far")
