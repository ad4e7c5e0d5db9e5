"""What can be wrong with customers and their users."""

from __future__ import annotations

from billing_worker.kernel.errors import NotFoundError, RefusedError


class CustomersError(RefusedError):
    """A customer cannot be changed like that."""


class UserTakenError(CustomersError):
    """The user has a customer already."""


class CustomerTakenError(CustomersError):
    """The customer belongs to another user already."""


class UnknownUserError(NotFoundError):
    """No customer belongs to the user."""
