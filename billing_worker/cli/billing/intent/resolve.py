"""End a parked intent after a look at Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import open_door
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, yes_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from uuid import UUID

    from billing_worker.changes import change
    from billing_worker.changes.services import resolve_intent
else:
    change = lazy_module("billing_worker.changes.change")
    resolve_intent = lazy_module("billing_worker.changes.services.resolve_intent")


@click.command()
@click.argument("intent", type=click.UUID)
@click.option("--happened", metavar="OBJECT", help="It happened: this object at Stripe shows it, e.g. pi_123.")
@click.option("--never", "verdict", flag_value="never", help="It never happened and shall not.")
@click.option("--again", "verdict", flag_value="again", help="It never happened: call Stripe once more.")
@click.option("--reason", required=True, metavar="TEXT", help="What you saw at Stripe; kept in the audit trail.")
@yes_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    intent: UUID,
    happened: str | None,
    verdict: str | None,
    reason: str,
    as_json: bool,
    **_: bool,
) -> None:
    """End a parked intent: whether its call happened could not be proved, so somebody has to look at Stripe.

    Created objects carry the intent's id in metadata.nself_intent.
    """
    if (happened is None) == (verdict is None):
        raise click.UsageError("say one of --happened OBJECT, --never, --again", context)
    said = change.Verdict(verdict or "happened")
    with open_door(invocation, context, question=f"Resolve intent {intent} as {said}?", reason=reason) as door:
        made = resolve_intent.resolve_intent(door, intent, verdict=said, object_id=happened)
    show_facts(
        {"intent": str(intent), "resolved_as": said.value, "stripe_id": made.stripe_id, "mirrored": made.is_mirrored},
        as_json=as_json,
    )
