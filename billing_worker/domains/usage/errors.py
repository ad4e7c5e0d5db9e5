"""What can be wrong with usage; each message says what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from billing_worker.kernel.errors import InvalidValueError, NotFoundError, RefusedError, TerminalError


class UsageError(TerminalError):
    """A usage record or metric cannot be accepted."""


class UnknownMetricError(UsageError, InvalidValueError):
    """The metric is not in the catalogue."""

    def __init__(self, metric: str, known: Iterable[str]) -> None:
        self.metric = metric
        self.known = tuple(sorted(known))
        super().__init__(f"unknown metric {metric!r}; known metrics: {', '.join(self.known)}")


class UnknownUserError(UsageError, NotFoundError):
    """The user is not in auth.users."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        super().__init__(f"unknown user {user_id!r}: auth.users has no such id; nself db query shows the users it has")


class MissingKeyError(UsageError, InvalidValueError):
    """A record without idempotency key: a retry would count it again."""

    def __init__(self) -> None:
        super().__init__(
            "idempotency_key: a record needs one, so that a retry counts once; for example order-1042-item-3 "
            "(USAGE_ALLOW_KEYLESS=true takes records without)"
        )


class HeldUsageNotFoundError(UsageError, NotFoundError):
    """No such record is held."""

    def __init__(self, held_id: int) -> None:
        self.held_id = held_id
        super().__init__(f"no held record has the id {held_id}; nself billing usage list-held shows those there are")


class ArchivedUsageError(UsageError, RefusedError):
    """The raw records of this time were archived."""

    def __init__(self, month_start: datetime, location: str) -> None:
        self.month_start = month_start
        self.location = location
        super().__init__(
            f"the records of {month_start:%Y-%m} were archived to {location}; bring them back first with "
            f"nself billing usage restore --all-users --date {month_start:%Y-%m-%d}"
        )


class ArchiveError(UsageError, RefusedError):
    """An archive cannot be written, read or trusted."""


class InvalidUsageError(UsageError, InvalidValueError):
    """A field of a usage record breaks a rule."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class UsageKeyConflictError(UsageError, RefusedError):
    """An idempotency key was used before for another record."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"idempotency key {key!r} was already used for a different record; this one is not recorded: "
            "send it under a new key if it is new usage"
        )


class MetricCatalogError(UsageError, InvalidValueError):
    """The metric catalogue cannot be used."""

    def __init__(self, source: str, problem: str) -> None:
        self.source = source
        super().__init__(f"metric catalogue {source}: {problem}")
