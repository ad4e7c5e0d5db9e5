"""Quotas: periods end and begin."""

from __future__ import annotations

from schedules.job import Job

JOBS = (
    # Five past each midnight of BILLING_TIMEZONE, when days, weeks and months end; periods that follow a subscription
    # end at any second and are woken by their probe. One run resets whatever is due, each period once.
    Job("quota_reset", task="quotas.reset_due", queue="quotas", cron="5 0 * * *", if_missed="last"),
)
