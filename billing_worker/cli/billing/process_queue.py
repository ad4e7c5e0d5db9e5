"""Make the payments that were stored while the queue was on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_container, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import confirm, dry_run_option, json_option, reason_option, yes_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.domains.payments import queries
    from billing_worker.domains.payments.services import process_payment_queue
    from billing_worker.inbox.services import write_through
    from billing_worker.switches import board
else:
    queries = lazy_module("billing_worker.domains.payments.queries")
    process_payment_queue = lazy_module("billing_worker.domains.payments.services.process_payment_queue")
    write_through = lazy_module("billing_worker.inbox.services.write_through")
    board = lazy_module("billing_worker.switches.board")


@click.command("process-queue")
@click.option("--batch-size", type=click.IntRange(1, 1000), default=100, show_default=True, help="Released at a time.")
@dry_run_option
@yes_option
@reason_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    batch_size: int,
    dry_run: bool,
    yes: bool,
    reason: str | None,
    as_json: bool,
) -> None:
    """Make the stored payments, oldest first, each once however often this is run.

    A payment whose invoice was settled meanwhile is discarded. Safe mode holds them.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        waiting = queries.count_queued_payments(session)
    if dry_run or not waiting:
        show_facts({"waiting": waiting}, as_json=as_json)
        return
    confirm(f"Make {waiting} stored payments now?", yes=yes)
    with open_container(invocation) as container:
        with audited(container.unit_of_work, context, reason=reason):
            made = process_payment_queue.process_payment_queue(
                container.unit_of_work,
                container.stripe,
                board=board.SwitchBoard(container.settings),
                sink=write_through.write_through,
                batch_size=batch_size,
            )
        show_facts({"waiting": waiting, **made}, as_json=as_json)
