"""Options that mean the same in every command, defined once."""

from __future__ import annotations

import sys

import click

from billing_worker.cli._durations import DURATION, INSTANT
from billing_worker.kernel.errors import RefusedError

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON with a stable schema.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would happen, change nothing.")
reason_option = click.option("--reason", metavar="TEXT", help="Why; kept in the audit trail.")
limit_option = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Rows at most."
)
last_option = click.option("--last", type=DURATION, help="Only this far back, e.g. 24h.")
since_option = click.option("--since", type=INSTANT, help="Only from then on, e.g. 2026-01-30 or 24h.")


class NotConfirmedError(RefusedError):
    """The operator did not say yes."""


def confirm(question: str, *, yes: bool) -> None:
    """Ask unless told not to.

    Raises: NotConfirmedError when the answer is no, or when nobody is there to answer.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotConfirmedError(f"{question} Nobody can answer here: add --yes")
    if not click.confirm(question, err=True):
        raise NotConfirmedError("nothing was changed")


def require_reason(reason: str | None) -> str:
    """Return the reason of a command that moves money.

    Raises: click.UsageError when it is missing.
    """
    if reason is None or not reason.strip():
        raise click.UsageError('this moves money: add --reason, for example --reason "refund agreed with customer"')
    return reason.strip()
