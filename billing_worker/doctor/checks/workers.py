"""Workers: does every queue have one, does Beat lead, are effects on time."""

from __future__ import annotations

from datetime import timedelta

from billing_worker.doctor.findings import Check, Judgement, Subject, degraded, describe_age, failed, fine
from billing_worker.doctor.queries import find_beat_leader, read_effects
from billing_worker.doctor.states import Component
from billing_worker.kernel.errors import RetryableError
from billing_worker.worker.broker import count_messages, list_consumed_queues
from billing_worker.worker.queues import FIXED_QUEUES, webhook_queues

MANY_MESSAGES = 1000
"""Wake-ups are coalesced and expire; a thousand of them in one queue means that nobody takes them."""

EFFECTS_LATE = timedelta(minutes=5)
START = ("nself start billing", "nself status")


def judge_queues(subject: Subject) -> Judgement:
    """Ask every worker what it consumes, and count what nobody has taken."""
    wanted = [*webhook_queues(subject.settings.billing_webhook_queues), *FIXED_QUEUES]
    try:
        consumed = list_consumed_queues(subject.settings.broker_url)
        waiting = count_messages(subject.settings.broker_url, wanted)
    except RetryableError as error:
        commands = ("nself billing health --component redis", *START)
        return failed(str(error), cause="the broker cannot be asked for its workers", commands=commands)
    workers = {worker for names in consumed.values() for worker in names}
    messages = sum(waiting.values())
    if not workers:
        return failed(f"no worker answers, {messages} messages wait", cause="no worker runs", commands=START)
    if orphaned := [queue for queue in wanted if queue not in consumed]:
        evidence = f"{len(workers)} workers, none for {', '.join(orphaned)}"
        return failed(evidence, cause="a worker is down or was started without these queues", commands=START)
    evidence = f"{len(workers)} workers for {len(wanted)} queues, {messages} messages wait"
    if full := [queue for queue, count in waiting.items() if count > MANY_MESSAGES]:
        cause = f"workers of {', '.join(full)} are stuck or too few"
        return degraded(evidence, cause=cause, commands=("nself logs billing --tail 100", "nself restart billing"))
    return fine(evidence)


def judge_beat(subject: Subject) -> Judgement:
    """Look for the lease of a leading Beat."""
    with subject.unit_of_work.transaction() as session:
        leader = find_beat_leader(session)
    if leader is None:
        cause = "no Beat runs, so nothing that is due by time begins; missed slots are caught up afterwards"
        return failed("no Beat holds the lease", cause=cause, commands=("nself start beat", "nself logs beat"))
    return fine(f"{leader} leads")


def judge_effects(subject: Subject) -> Judgement:
    """Look for effects that are overdue or stopped."""
    now = subject.unit_of_work.now()
    with subject.unit_of_work.transaction() as session:
        figures = read_effects(session, now)
    evidence = f"{figures.due} due, {figures.failed} failed, {figures.unknown} with unknown outcome"
    if figures.oldest_due_at is not None and now - figures.oldest_due_at > EFFECTS_LATE:
        evidence += f", the oldest {describe_age(now - figures.oldest_due_at)} late"
        return failed(evidence, cause="no worker performs due effects", commands=START)
    if figures.failed or figures.unknown:
        cause = "some effects ran out of attempts, or nobody knows whether a mail went out"
        return degraded(evidence, cause=cause, commands=("nself billing errors --last 7d",))
    return fine(evidence)


CHECKS = (
    Check("queues", Component.WORKERS, judge_queues, needs_database=False),
    Check("beat", Component.WORKERS, judge_beat),
    Check("effects", Component.WORKERS, judge_effects),
)
