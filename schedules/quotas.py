"""Quotas: periods end and begin."""

from __future__ import annotations

from datetime import timedelta

from schedules.job import Job

JOBS = (
    # Five past each midnight of BILLING_TIMEZONE, when days, weeks and months end; periods that follow a subscription
    # end at any second and are woken by their probe. One run resets whatever is due, each period once.
    Job("quota_reset", task="quotas.reset_due", queue="quotas", cron="5 0 * * *", if_missed="last"),
    # Changes of subscriptions are marked and applied at once; this finds users that were linked to a customer since.
    Job("quota_plans", task="quotas.apply_plans", queue="quotas", every=timedelta(hours=1), if_missed="last"),
)
