"""What can be wrong with quotas; each message says what to do next."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from billing_worker.domains.quotas.states import ReservationStatus
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


class UnreservableMetricError(QuotaError, RefusedError):
    """Only what is summed can be reserved."""

    def __init__(self, metric_type: str) -> None:
        self.metric_type = metric_type
        super().__init__(f"{metric_type} is not summed, so its units cannot be reserved; check it instead")


class ReservationConflictError(QuotaError, RefusedError):
    """The id belongs to another reservation."""

    def __init__(self, reservation_id: UUID) -> None:
        self.reservation_id = reservation_id
        super().__init__(f"reservation {reservation_id} exists with another user, metric or number; use a new id")


class ReservationNotFoundError(QuotaError, NotFoundError):
    """There is no such reservation."""

    def __init__(self, reservation_id: UUID) -> None:
        self.reservation_id = reservation_id
        super().__init__(f"no reservation {reservation_id}; reserve first")


class ReservationEndedError(QuotaError, RefusedError):
    """The reservation has ended otherwise."""

    def __init__(self, reservation_id: UUID, status: ReservationStatus, ended_at: datetime | None) -> None:
        self.reservation_id = reservation_id
        self.status = status
        self.ended_at = ended_at
        at = f" at {ended_at.isoformat()}" if ended_at else ""
        super().__init__(
            f"reservation {reservation_id} was {status}{at}; its units are free again or spent: record what was used"
        )


class StillUsedUpError(QuotaError, RefusedError):
    """A block cannot be lifted while nothing is left."""

    def __init__(self, user_id: str, metric_type: str, taken: int, granted: int) -> None:
        self.user_id = user_id
        self.metric_type = metric_type
        super().__init__(
            f"user {user_id} has taken {taken} of {granted} {metric_type}, so the next check would block again: start "
            f"anew with `nself billing quota reset --user {user_id}`, or raise the limit with `nself billing quota set`"
        )


class OtherZoneError(QuotaError, RefusedError):
    """The database was cut in another zone."""

    def __init__(self, kept: str, wanted: str) -> None:
        self.kept = kept
        self.wanted = wanted
        super().__init__(
            f"days and months of this database are cut in {kept}, BILLING_TIMEZONE says {wanted}: the two would "
            f"overlap and count usage twice or never; `nself env set BILLING_TIMEZONE={kept}` keeps what is"
        )
