"""Errors of this slice."""

from __future__ import annotations

from billing_worker.kernel.errors import RefusedError, RetryableError


class ReconciliationBusyError(RefusedError):
    """A reconciliation is running; wait for its end, or look with `nself billing reconcile status`."""


class NothingToResumeError(RefusedError):
    """No reconciliation was left incomplete; start one with `nself billing reconcile`."""


class ReconciliationIncompleteError(RetryableError):
    """Stripe would not answer on; the run is incomplete and goes on where it stopped."""
