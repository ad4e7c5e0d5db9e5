"""Comparing the mirror with Stripe."""

from __future__ import annotations

from schedules.job import Job

JOBS = (
    # A comparison made now covers every slot that was missed.
    Job(
        "reconcile",
        task="reconciliation.reconcile",
        queue="reconciliation",
        every_setting="billing_sync_interval",
        if_missed="last",
    ),
)
