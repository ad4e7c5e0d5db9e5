"""Puts what a command changes into the audit trail, under the words that the operator typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from billing_worker.audit import rules
    from billing_worker.audit.services import record_action
    from billing_worker.audit.services.record_action import RecordedAction
    from billing_worker.database.unit_of_work import UnitOfWork
else:
    rules, record_action = (lazy_module(f"billing_worker.audit.{name}") for name in ("rules", "services.record_action"))

NOT_ARGUMENTS = frozenset({"as_json", "yes", "reason"})


def audited(unit_of_work: UnitOfWork, context: click.Context, *, reason: str | None = None) -> RecordedAction:
    """Return the context manager under which a command changes something.

    Order: leave it before `context.exit`, which is an exception and would count as a failure.
    """
    arguments = {name: value for name, value in context.params.items() if name not in NOT_ARGUMENTS}
    return record_action.record_action(
        unit_of_work,
        actor=rules.name_actor(),
        command=context.command_path,
        arguments=arguments,
        reason=reason or "",
    )
