"""Upkeep of the database: partitions ahead of time, old rows of the ledger."""

from __future__ import annotations

from datetime import timedelta

from schedules.job import Job

JOBS = (
    # Partitions are made three months ahead, so a day's delay costs nothing: the newest slot is enough.
    Job(
        "ensure_partitions",
        task="maintenance.ensure_partitions",
        queue="maintenance",
        every=timedelta(hours=6),
        if_missed="last",
    ),
    Job("prune_schedule_runs", task="schedules.prune_runs", queue="maintenance", cron="20 4 * * *", if_missed="last"),
)
