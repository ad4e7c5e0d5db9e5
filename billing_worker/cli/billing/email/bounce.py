"""Take in reports about mail that came back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.domains.notifications import maildir
    from billing_worker.domains.notifications.services import record_bounce
else:
    maildir = lazy_module("billing_worker.domains.notifications.maildir")
    record_bounce = lazy_module("billing_worker.domains.notifications.services.record_bounce")


@click.command()
@click.option("--file", "file", type=click.File("rb"), metavar="FILE", help="One report; - reads standard input.")
@click.option(
    "--maildir",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Every new message of a Maildir; what was read moves to its `cur`.",
)
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    file: BinaryIO | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Take in reports about mail that came back (RFC 3464): messages become `bounced`, dead addresses suppressed.

    As a pipe of the mail server: `bounces: "|nself billing email bounce --file -"`; or regularly with --maildir.
    """
    if (file is None) == (folder is None):
        raise click.UsageError("name one source: `email bounce --file report.eml` or `email bounce --maildir DIR`")
    with open_unit_of_work(invocation) as unit_of_work, audited(unit_of_work, context):
        if file is not None:
            with unit_of_work.transaction() as session:
                recorded = record_bounce.record_bounce(session, file.read(), now=unit_of_work.now())
        else:
            recorded = maildir.take_in(unit_of_work, Path(str(folder)))
    rows = [
        {
            "message": None if one.message_id is None else f"msg_{one.message_id}",
            "outcome": one.outcome,
            "status_code": one.status_code,
            "detail": one.detail,
        }
        for one in recorded
    ]
    show_rows(rows, as_json=as_json, empty="no report was waiting")
