"""Change the signing secret without losing a delivery."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_subject
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import confirm, dry_run_option, json_option, yes_option
from billing_worker.cli._output import say, show_facts
from billing_worker.cli._receiver import EnvFileKeyring, receiver_url

if TYPE_CHECKING:
    from billing_worker.inbox import rotation
    from billing_worker.inbox.services import abort_rotation, rotate_secret
else:
    rotation = lazy_module("billing_worker.inbox.rotation")
    abort_rotation, rotate_secret = (
        lazy_module(f"billing_worker.inbox.services.{name}") for name in ("abort_rotation", "rotate_secret")
    )

STEPS = "second endpoint, both secrets, restart, a delivery verified by the new one, old endpoint and secret go"


@click.command()
@click.option("--endpoint", "endpoint_id", metavar="WE_ID", help="Which endpoint, when several are enabled.")
@click.option("--old", "old_number", type=int, metavar="NUMBER", help="Which secret goes, when several are set.")
@click.option("--new-secret", metavar="-", help="Read a secret rolled in Stripe's Dashboard from standard input.")
@click.option("--skip-watch", is_flag=True, help="Retire the old one though no delivery proved the new one yet.")
@click.option("--abort", is_flag=True, help="Take back what the rotation added.")
@dry_run_option
@yes_option
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, /, **options: Any) -> int:  # noqa: ANN401 - click's options
    """Run the drill as far as it goes now; run it again until it says done. Exit code 1 while it waits.

    Stripe has no call that rolls a secret: a second endpoint with the same address and events brings the new one.
    """
    if options["new_secret"] not in {None, "-"}:
        raise click.UsageError("a secret on the command line stays in the shell's history: write --new-secret -")
    with open_subject(invocation) as subject:
        keyring = EnvFileKeyring(invocation.environ, receiver_url(subject.settings), subject.settings.livemode)
        with subject.unit_of_work.transaction() as session:
            under_way = rotation.find_open_rotation(session)
        if options["dry_run"]:
            state = under_way.state.value if under_way else "none under way"
            show_facts({"state": state, "steps": STEPS}, as_json=options["as_json"])
            return EXIT_DONE
        if under_way is None and not options["abort"]:
            confirm(f"Rotate the signing secret ({STEPS})?", yes=options["yes"])
        with audited(subject.unit_of_work, context):
            if options["abort"]:
                report = abort_rotation.abort_rotation(subject.unit_of_work, subject.gateway, keyring)
            else:
                report = rotate_secret.rotate_secret(
                    subject.unit_of_work,
                    subject.gateway,
                    keyring,
                    endpoint_id=options["endpoint_id"],
                    old_number=options["old_number"],
                    new_secret=sys.stdin.readline().strip() if options["new_secret"] else None,
                    skip_watch=options["skip_watch"],
                )
    show_facts(report.as_facts(), as_json=options["as_json"])
    if report.waits_for:
        say(f"{report.waits_for}; then again: nself billing webhook rotate-secret")
        return EXIT_DIFFERENCES
    say("the receiver forgets the secret that went at its next start: nself restart receiver")
    return EXIT_DONE
