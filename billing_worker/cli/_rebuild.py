"""`rebuild-state` of the nouns whose objects are mirrored: one command, made for each type."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_container
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts, show_rows
from billing_worker.kernel.keys import lane_of, object_key

if TYPE_CHECKING:
    from billing_worker.inbox.rebuilt import Rebuilt
    from billing_worker.inbox.services import rebuild_object, settle_rows, write_rebuilt
    from billing_worker.worker.container import Container
else:
    rebuild_object, settle_rows, write_rebuilt = (
        lazy_module(f"billing_worker.inbox.services.{name}")
        for name in ("rebuild_object", "settle_rows", "write_rebuilt")
    )


def rebuild_command(object_type: str) -> click.Command:
    """Make the command for one type of objects."""

    @click.command(
        help=(
            f"Fold every stored event of one {object_type} and show where log, mirror and Stripe differ.\n\n"
            "Exit code 1 when they do. --execute writes what the log says into the mirror, through the lane like any "
            "event, and is refused when Stripe says otherwise. Effects are keyed: none is repeated."
        )
    )
    @click.argument("object_id", metavar="ID")
    @click.option("--account", "account_id", default="", metavar="ID", help="The connected account it belongs to.")
    @click.option("--execute", is_flag=True, help="Write the rebuilt state; without it nothing is changed.")
    @json_option
    @click.pass_context
    @pass_invocation
    def command(
        invocation: Invocation, context: click.Context, object_id: str, account_id: str, *, execute: bool, as_json: bool
    ) -> int:
        key = object_key(account_id, object_type, object_id)
        with open_container(invocation) as container:
            found = rebuild_object.rebuild_object(container.unit_of_work, container.stripe, key)
            if execute and found.differences:
                with audited(container.unit_of_work, context):
                    _write(container, found)
                found = rebuild_object.rebuild_object(container.unit_of_work, container.stripe, key)
        _show(found, as_json=as_json)
        return EXIT_DIFFERENCES if found.differences else EXIT_DONE

    return command


def _write(container: Container, found: Rebuilt) -> None:
    with container.unit_of_work.transaction() as session:
        row_ids = write_rebuilt.write_rebuilt(session, found)
    lane = lane_of(found.object_key)
    container.waker.wake_lane(lane, woken_by="rebuild")
    waiting = settle_rows.settle_rows(container.unit_of_work, container.reactions, row_ids, lane=lane)
    if waiting:
        say("not written yet: the lane is busy or the object is parked, see `nself billing webhook queue-status`")


def _show(found: Rebuilt, *, as_json: bool) -> None:
    if as_json:
        show_facts(found.as_facts(), as_json=True)
        return
    show_facts(found.as_lines(), as_json=False)
    if not found.differences:
        asked = "log, mirror and Stripe agree" if not found.stripe.unknown else "log and mirror agree"
        say(asked)
        return
    say("differences:")
    show_rows([asdict(one) for one in found.differences], as_json=False)
    if found.stripe_differs:
        say(f"Stripe has another state than the log: run {found.mend}")
    else:
        say("--execute writes what the log says into the mirror")
