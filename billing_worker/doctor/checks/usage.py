"""Usage: do the rollups follow the records."""

from __future__ import annotations

from billing_worker.doctor.findings import Check, Judgement, Subject, describe_age, failed, fine
from billing_worker.doctor.states import Component
from billing_worker.domains.usage.queries.reports import get_aggregation_lag

PATIENCE = 3
"""Intervals of aggregation that may pass: one that just missed a batch, one at work, one in reserve."""


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


CHECKS = (Check("aggregation", Component.USAGE, judge_aggregation),)
