"""Metering: rollups follow the raw records."""

from __future__ import annotations

from datetime import timedelta

from schedules.job import Job

JOBS = (
    # The tick already wakes the aggregator when batches are open; this bounds the lag should a wake-up be lost.
    # One run aggregates all that is open, so after a downtime the newest slot is enough.
    Job(
        "usage_aggregation",
        task="usage.aggregate",
        queue="usage",
        every_setting="usage_aggregation_interval",
        if_missed="last",
    ),
    # Whoever fills the buffer wakes the collector; this makes good a lost wake-up.
    Job("usage_buffer_flush", task="usage.flush_buffer", queue="usage", every=timedelta(minutes=1), if_missed="last"),
    # Records that are held because their user or metric was unknown; a new user or metric frees them.
    Job("usage_held_release", task="usage.release_held", queue="usage", every=timedelta(minutes=5), if_missed="last"),
    # At night: it reads every key once.
    Job("usage_keys_prune", task="usage.prune_keys", queue="usage", cron="41 3 * * *", if_missed="last"),
)
