"""Commands that change one invoice: the same shape, a service each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from billing_worker.cli._changes import ask_reason, change_options, open_door, show_change
from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._options import reason_option
from billing_worker.cli.billing.invoice._facts import invoice_facts

if TYPE_CHECKING:
    from billing_worker.changes.change import Changed
    from billing_worker.changes.door import ChangeDoor

NOT_VALUES = frozenset({"invoice_id", "as_json", "yes", "dry_run", "reason"})

Act = Callable[["ChangeDoor", str, dict[str, Any]], "Changed"]


def changing_command(
    act: Act, *options: Callable[[Any], Any], text: str, more: str, question: str, moves_money: bool = False
) -> click.Command:
    """Make a command of one invoice; `act` gets the door, the id and the values of the command's own options."""

    @click.pass_context
    @pass_invocation
    def command(
        invocation: Invocation,
        context: click.Context,
        /,
        *,
        invoice_id: str,
        reason: str | None,
        as_json: bool,
        **_: object,
    ) -> None:
        values = {name: value for name, value in context.params.items() if name not in NOT_VALUES}
        if moves_money and not context.params["dry_run"]:
            reason = ask_reason(load_command_settings(invocation), reason)
        asked = question.format(invoice_id)
        with open_door(invocation, context, question=asked, reason=reason) as door:
            changed = act(door, invoice_id, values)
        show_change(changed, invoice_facts(changed.data), as_json=as_json)

    decorated: Any = reason_option(change_options(command))
    for option in reversed(options):
        decorated = option(decorated)
    return click.command(help=f"{text}\n\n{more}")(click.argument("invoice_id", metavar="INVOICE")(decorated))
