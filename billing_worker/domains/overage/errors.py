"""What can be wrong with overage."""

from __future__ import annotations

from billing_worker.kernel.errors import InvalidValueError


class InvalidOveragePriceError(InvalidValueError):
    """An overage price cannot be computed with."""
