"""Send what is due."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.notifications.models import Message
from billing_worker.domains.notifications.rules import KINDS, check_sending, split_sender
from billing_worker.domains.notifications.services.claim_message import Office, claim_message
from billing_worker.domains.notifications.services.finish_message import finish_message
from billing_worker.domains.notifications.services.note_message import note_message
from billing_worker.domains.notifications.services.settle_interrupted import settle_interrupted
from billing_worker.domains.notifications.services.suppress_message import suppress_message
from billing_worker.domains.notifications.smtp import Transport
from billing_worker.domains.notifications.states import MessageStatus
from billing_worker.effects.runner import claim_due
from billing_worker.runtime.settings import Settings

BATCH = 200
"""Messages per transaction when none is sent."""

_EVENT_NAMES = {
    MessageStatus.QUEUED: "mail_deferred",
    MessageStatus.SENT: "mail_sent",
    MessageStatus.FAILED: "mail_failed",
    MessageStatus.SUPPRESSED: "mail_suppressed",
    MessageStatus.UNKNOWN: "mail_unknown",
}

_log = structlog.get_logger(__name__)


def send_due_messages(
    unit_of_work: UnitOfWork, transport: Transport, settings: Settings, *, lease: timedelta, patience: timedelta
) -> Mapping[str, int]:
    """Send every message that is due and count the statuses they reached.

    Phases: per message (a) attempt, recipient and Message-ID committed under a lease; (b) the mail server, without any
    transaction; (c) its answer committed. A crash between (b) and (c) leaves the attempt open; once its lease is over
    the message is `unknown` and, by policy, sent once more under the same Message-ID.
    Units: `lease` must outlast the longest conversation; `patience` is how long new ones are begun.
    Idempotent by: the effect's key and the attempt's row.
    """
    reached: Counter[str] = Counter()
    why_not = check_sending(is_enabled=settings.mail_enabled, sender=settings.mail_from)
    resends = settings.mail_resend_unknown and why_not is None
    with unit_of_work.transaction() as session:
        reached["interrupted"] += settle_interrupted(session, resends=resends, now=unit_of_work.now())
    if why_not is not None:
        return reached + _suppress_all(unit_of_work, settings, why_not)
    office = Office(settings.mail_from, settings.billing_timezone, settings.mail_recipient_limit, lease)
    give_up_at = time.monotonic() + patience.total_seconds()
    while time.monotonic() < give_up_at:
        with unit_of_work.transaction() as session:
            claimed = claim_message(session, office, now=unit_of_work.now())
        if claimed is None:
            break
        if isinstance(claimed, Message):
            _report(claimed, reached)
            continue
        reply = transport.deliver(claimed.email, sender=claimed.sender, recipient=claimed.recipient)
        with unit_of_work.transaction() as session:
            message = finish_message(session, claimed, reply, resends=resends, now=unit_of_work.now())
        _report(message, reached)
        if reply.is_server_away:
            # The next one would fare the same; the tick asks again in a second, with a message that has not waited.
            break
    return reached


def _suppress_all(unit_of_work: UnitOfWork, settings: Settings, why_not: str) -> Counter[str]:
    reached: Counter[str] = Counter()
    _, sender = split_sender(settings.mail_from)
    while True:
        with unit_of_work.transaction() as session:
            now = unit_of_work.now()
            due = claim_due(session, KINDS, size=BATCH, now=now)
            for effect in due:
                message = note_message(session, effect, sender=sender, now=now)
                reached[suppress_message(session, message, why_not, now=now).value] += 1
        if len(due) < BATCH:
            return reached


def _report(message: Message, reached: Counter[str]) -> None:
    reached[message.status.value] += 1
    _log.info(
        _EVENT_NAMES[message.status],
        message_id=message.id,
        template=message.template.value,
        attempts=message.attempts,
        customer_id=message.customer_id,
        detail=message.detail,
    )
