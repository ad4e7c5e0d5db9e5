"""What can be wrong with overage."""

from __future__ import annotations

from billing_worker.kernel.errors import InvalidValueError, NotFoundError, RefusedError


class InvalidOveragePriceError(InvalidValueError):
    """An overage price cannot be computed with."""


class NoOverageError(NotFoundError):
    """A user has no overage, and no quota that could have one."""


class OverageRefusedError(RefusedError):
    """An overage cannot be corrected like this."""
