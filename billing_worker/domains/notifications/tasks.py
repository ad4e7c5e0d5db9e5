"""Tasks of mail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.queries import count_interrupted
from billing_worker.domains.notifications.rules import KINDS
from billing_worker.domains.notifications.services.send_due_messages import send_due_messages
from billing_worker.domains.notifications.smtp import SmtpTransport
from billing_worker.effects.runner import count_due
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import MAIL
from billing_worker.worker.tasks import task

HARD_LIMIT_SECONDS = 120
PATIENCE = timedelta(seconds=30)
"""No conversation begins later than this into a run, which leaves each a minute before the soft limit."""

LEASE = timedelta(seconds=HARD_LIMIT_SECONDS + 10)
"""The hard limit kills the child, so that no conversation outlives its lease."""


@task("notifications.send_due_mail", queue=MAIL, soft_limit_seconds=90, hard_limit_seconds=HARD_LIMIT_SECONDS)
def send_due_mail(container: Container) -> Mapping[str, object]:
    """Send the messages that are due, and take up what a crash cut off."""
    transport = SmtpTransport.from_settings(container.settings)
    return send_due_messages(container.unit_of_work, transport, container.settings, lease=LEASE, patience=PATIENCE)


def _count_due(session: Session, now: datetime) -> int:
    return count_due(session, KINDS, now) + count_interrupted(session)


PROBES = (Probe("mail", "notifications.send_due_mail", MAIL, _count_due),)
