"""What can be wrong with quotas; each message says what to do next."""

from __future__ import annotations

from billing_worker.kernel.errors import InvalidValueError, NotFoundError, RefusedError, TerminalError


class QuotaError(TerminalError):
    """A quota cannot be set, shown or reset."""


class InvalidQuotaError(QuotaError, InvalidValueError):
    """A value of a quota breaks a rule."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class QuotaNotFoundError(QuotaError, NotFoundError):
    """The user has no such quota."""

    def __init__(self, user_id: str, metric_type: str | None = None) -> None:
        self.user_id = user_id
        self.metric_type = metric_type
        which = f" for {metric_type}" if metric_type else ""
        super().__init__(
            f"user {user_id} has no quota{which}; set one: nself billing quota set --user {user_id} "
            f"--metric {metric_type or 'api_calls'} --limit 1000 --period month"
        )


class NoBillingAnchorError(QuotaError, RefusedError):
    """A billing period needs a subscription of whole months to follow."""

    def __init__(self, user_id: str, problem: str) -> None:
        self.user_id = user_id
        super().__init__(f"quota of user {user_id} cannot follow a subscription: {problem}; or use --period month")
