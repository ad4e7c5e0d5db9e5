"""Usage: do the rollups follow the records."""

from __future__ import annotations

from billing_worker.doctor.findings import Check, Judgement, Subject, degraded, describe_age, failed, fine
from billing_worker.doctor.services.read_collector import read_collector
from billing_worker.doctor.states import Component
from billing_worker.domains.usage.queries.held import count_held
from billing_worker.domains.usage.queries.reports import get_aggregation_lag

PATIENCE = 3
"""Intervals of aggregation that may pass: one that just missed a batch, one at work, one in reserve."""

BUFFER_PATIENCE_SECONDS = 90
"""The collector is woken at once, and comes by itself every minute."""


def judge_aggregation(subject: Subject) -> Judgement:
    """Compare the oldest batch that is not aggregated with the interval in which it should have been."""
    now = subject.unit_of_work.now()
    with subject.unit_of_work.transaction() as session:
        lag = get_aggregation_lag(session)
    evidence = f"{lag.open_batches} batches with {lag.open_records} records are not aggregated"
    if lag.oldest_accepted_at is None:
        return fine(evidence)
    behind = now - lag.oldest_accepted_at
    evidence += f", the oldest for {describe_age(behind)}"
    if behind > PATIENCE * subject.settings.usage_aggregation_interval:
        cause = "no usage worker runs, or a batch cannot be aggregated; quotas and invoices would be low"
        commands = (
            "nself restart usage-collector",
            "nself billing usage aggregate --force",
            "nself logs usage-collector",
        )
        return failed(evidence, cause=cause, commands=commands)
    return fine(evidence)


def judge_buffer(subject: Subject) -> Judgement:
    """Look whether buffered records reach PostgreSQL."""
    standing = read_collector(subject)
    if standing.buffer is None:
        evidence = f"the buffer cannot be read: {standing.buffer_problem}"
        if not standing.buffer_enabled:
            return fine(f"{evidence}; it is off")
        cause = "Redis is away: the API writes straight to PostgreSQL; what Redis holds comes back with it"
        return degraded(evidence, cause=cause, commands=("nself restart redis", "nself billing health"))
    buffer = standing.buffer
    evidence = f"{buffer.records} of {buffer.capacity} records wait in Redis, the oldest for {buffer.oldest_seconds} s"
    if buffer.oldest_seconds > BUFFER_PATIENCE_SECONDS:
        cause = "the collector does not flush the buffer: it is stopped, behind, or PostgreSQL refuses the records"
        return failed(evidence, cause=cause, commands=("nself restart usage-collector", "nself logs usage-collector"))
    if buffer.unreadable:
        cause = (
            f"{buffer.unreadable} buffered calls could not be recorded; the log names them as usage_buffer_unreadable"
        )
        return degraded(evidence, cause=cause, commands=("nself logs usage-collector",))
    return fine(evidence)


def judge_held(subject: Subject) -> Judgement:
    """Look whether records wait for a user, a metric or a decision."""
    with subject.unit_of_work.transaction() as session:
        held = count_held(session)
    if not held:
        return fine("nothing is held")
    evidence = "held: " + ", ".join(f"{count} {reason}" for reason, count in held.items())
    cause = "users or metrics are unknown here, or a key was used for two records; these records do not count yet"
    return degraded(evidence, cause=cause, commands=("nself billing usage list-held",))


CHECKS = (
    Check("aggregation", Component.USAGE, judge_aggregation),
    Check("buffer", Component.USAGE, judge_buffer),
    Check("held", Component.USAGE, judge_held),
)
