"""Webhooks: is the inbox drained, what stopped, what is stuck."""

from __future__ import annotations

from datetime import timedelta

from billing_worker.doctor.findings import Check, Judgement, Subject, degraded, describe_age, failed, fine
from billing_worker.doctor.states import Component
from billing_worker.inbox.queries import list_parked
from billing_worker.inbox.reports import count_backlog, find_last_delivery, list_type_failures, list_unfinished_lanes

LATE = timedelta(minutes=1)
"""Lanes are drained within milliseconds and rescued every second."""

BATCH_LATE = timedelta(minutes=2)
"""A batch's transaction is cancelled after 60 s."""

PARKED_LONG = timedelta(hours=1)


def judge_backlog(subject: Subject) -> Judgement:
    """Look at the oldest event that waits for no reason."""
    now = subject.unit_of_work.now()
    with subject.unit_of_work.transaction() as session:
        backlog = count_backlog(session)
        last = find_last_delivery(session)
    evidence = (
        f"{backlog.pending} pending, last delivery {'never' if last is None else describe_age(now - last) + ' ago'}"
    )
    if backlog.oldest_pending_at is not None and now - backlog.oldest_pending_at > LATE:
        evidence += f", the oldest has waited {describe_age(now - backlog.oldest_pending_at)}"
        commands = ("nself billing webhook queue-status", "nself start billing", "nself logs billing --tail 100")
        return failed(evidence, cause="no worker drains the lanes, or they come too slowly", commands=commands)
    return fine(evidence)


def judge_dead_letters(subject: Subject) -> Judgement:
    """Look for events that stopped."""
    with subject.unit_of_work.transaction() as session:
        worst = list_type_failures(session, limit=3)
        backlog = count_backlog(session)
    evidence = f"{backlog.failed} failed, {backlog.quarantined} quarantined"
    if not worst:
        return fine(evidence)
    cause = (
        f"events could not be applied, most of type {worst[0].type or 'unreadable'}; their objects went on without them"
    )
    commands = ("nself billing webhook failures", "nself billing webhook replay --status failed --since 24h")
    return degraded(evidence, cause=cause, commands=commands)


def judge_lanes(subject: Subject) -> Judgement:
    """Look for batches that were begun and not ended."""
    now = subject.unit_of_work.now()
    with subject.unit_of_work.transaction() as session:
        stuck = [lane for lane in list_unfinished_lanes(session) if now - lane.batch_started_at > BATCH_LATE]
    if not stuck:
        return fine("no batch is left behind")
    evidence = f"lanes {', '.join(str(lane.lane) for lane in stuck[:10])} have a batch that was never ended"
    cause = "a worker died in it; the next drain halves the batch until the event that kills it is alone"
    commands = ("nself logs billing --tail 100", "nself billing webhook queue-status")
    return degraded(evidence, cause=cause, commands=commands)


def judge_parked(subject: Subject) -> Judgement:
    """Look for objects that have been parked for long."""
    now = subject.unit_of_work.now()
    with subject.unit_of_work.transaction() as session:
        parked = list_parked(session, limit=1000)
    old = [each for each in parked if now - each.parked_at > PARKED_LONG]
    if not old:
        return fine(f"{len(parked)} objects are parked, none for long")
    evidence = f"{len(old)} objects are parked for over an hour, the first: {old[0].object_key} ({old[0].reason})"
    cause = "their events fail again and again, or Stripe cannot be asked for their state"
    commands = ("nself billing webhook queue-status", "nself billing health --component stripe")
    return degraded(evidence, cause=cause, commands=commands)


CHECKS = (
    Check("backlog", Component.WEBHOOKS, judge_backlog),
    Check("dead_letters", Component.WEBHOOKS, judge_dead_letters),
    Check("lanes", Component.WEBHOOKS, judge_lanes),
    Check("parked", Component.WEBHOOKS, judge_parked),
)
