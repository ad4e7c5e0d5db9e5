"""What commands that change something at Stripe share: the door, the options, how the outcome is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_container
from billing_worker.cli._invocation import Invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import confirm, dry_run_option, json_option, yes_option
from billing_worker.cli._output import Row, say, show_facts
from billing_worker.kernel.errors import RefusedError

if TYPE_CHECKING:
    from billing_worker.changes import door
    from billing_worker.changes.change import Changed
    from billing_worker.changes.door import ChangeDoor
    from billing_worker.inbox.services import drain_lane
    from billing_worker.runtime.settings import Settings
    from billing_worker.switches import board
    from billing_worker.worker.container import Container
else:
    door = lazy_module("billing_worker.changes.door")
    board = lazy_module("billing_worker.switches.board")
    drain_lane = lazy_module("billing_worker.inbox.services.drain_lane")

NO_REASON = "none given"


def change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command with what every change takes: --dry-run, --yes, --json."""
    return dry_run_option(yes_option(json_option(function)))


@contextmanager
def open_door(
    invocation: Invocation, context: click.Context, *, question: str = "", reason: str | None = None
) -> Iterator[ChangeDoor]:
    """Give a command the door to Stripe; what happens behind it is audited.

    Shape: `question` is asked at a terminal unless --yes is given; a command that names its one object is explicit
    enough where nobody can answer. With --dry-run nothing is asked, audited or changed.
    """
    options = context.params
    with open_container(invocation) as container:
        if options.get("dry_run"):
            yield _door(container, is_dry_run=True)
            return
        if question and sys.stdin.isatty():
            confirm(question, yes=bool(options.get("yes")))
        with audited(container.unit_of_work, context, reason=reason):
            yield _door(container, is_dry_run=False)


def ask_reason(settings: Settings, reason: str | None) -> str:
    """Return why money is moved: the option, or an answer at a terminal; in test mode it may be missing.

    Raises: RefusedError in live mode without a reason.
    """
    if reason and reason.strip():
        return reason.strip()
    if sys.stdin.isatty():
        return str(click.prompt("Why? This moves money, the reason is kept", err=True)).strip()
    if settings.livemode:
        raise RefusedError('this moves money: add --reason, for example --reason "agreed with the customer"')
    return NO_REASON


def show_change(changed: Changed, facts: Row, *, as_json: bool) -> None:
    """Show what became of a change; `facts` are taken when it was made, the call when it was only planned."""
    if changed.is_planned:
        show_facts({"would_call": changed.would_call, "with": dict(changed.data)}, as_json=as_json)
        return
    show_facts({**facts, "mirrored": changed.is_mirrored}, as_json=as_json)
    if not changed.is_mirrored:
        say("done at Stripe; the mirror follows when its lane has caught up: `nself billing webhook queue-status`")


def parse_metadata(pairs: tuple[str, ...]) -> Mapping[str, str]:
    """Read --metadata key=value options.

    Raises: click.UsageError.
    """
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise click.UsageError(f"{wrong[0]!r} is no key=value; write for example --metadata team=sales")
    return dict(pair.split("=", 1) for pair in pairs)


def _door(container: Container, *, is_dry_run: bool) -> ChangeDoor:
    def attend(lane: int) -> None:
        # The command drains the lane itself: it then needs no worker, and somebody else's drain does as well.
        report = drain_lane.drain_lane(
            container.unit_of_work,
            container.reactions,
            lane=lane,
            batch_size=container.settings.billing_webhook_batch_size,
        )
        container.stripe.forget_lanes([lane])
        if report.again or report.busy:
            container.waker.wake_lane(lane, woken_by="command")

    return door.ChangeDoor(
        unit_of_work=container.unit_of_work,
        gateway=container.stripe,
        board=board.SwitchBoard(container.settings),
        attend_lane=attend,
        is_dry_run=is_dry_run,
    )
