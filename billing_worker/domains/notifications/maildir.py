"""A Maildir as intake of bounces: what is in `new` is read once and moves to `cur`."""

from __future__ import annotations

from pathlib import Path

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.notifications.errors import NotABounceError
from billing_worker.domains.notifications.services.record_bounce import RecordedBounce, record_bounce

READ = ":2,S"


def take_in(unit_of_work: UnitOfWork, folder: Path) -> list[RecordedBounce]:
    """Record every new report, each in its transaction, and return what they changed; other mail is left as read.

    Idempotent by: message and report: a crash before a file has moved only reads it again.
    """
    recorded: list[RecordedBounce] = []
    for path in sorted(path for path in (folder / "new").iterdir() if path.is_file()):
        raw = path.read_bytes()
        try:
            with unit_of_work.transaction() as session:
                recorded += record_bounce(session, raw, now=unit_of_work.now())
        except NotABounceError as error:
            recorded.append(RecordedBounce(None, "no_report", "", f"{path.name}: {error}"))
        path.rename(folder / "cur" / f"{path.name.partition(':')[0]}{READ}")
    return recorded
