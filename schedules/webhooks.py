"""Proving that no event was lost, and letting go of what is old."""

from __future__ import annotations

from datetime import timedelta

from schedules.job import Job

JOBS = (
    # A certificate covers everything since the last one.
    Job(
        "certify_events",
        task="inbox.certify_events",
        queue="reconciliation",
        every=timedelta(hours=1),
        if_missed="last",
    ),
    Job(
        "refresh_addresses",
        task="inbox.refresh_addresses",
        queue="maintenance",
        cron="40 4 * * *",
        if_missed="last",
    ),
    Job("prune_payloads", task="inbox.prune_payloads", queue="maintenance", cron="50 3 * * *", if_missed="last"),
)
