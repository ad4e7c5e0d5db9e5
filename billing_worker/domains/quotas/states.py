"""The words of quotas."""

from __future__ import annotations

from enum import StrEnum


class Enforcement(StrEnum):
    """What a used-up quota does: hard blocks its user, soft only shows."""

    HARD = "hard"
    SOFT = "soft"


class FailMode(StrEnum):
    """What a check answers when PostgreSQL cannot be asked and no lease is at hand."""

    OPEN = "open"
    CLOSED = "closed"


class PeriodStatus(StrEnum):
    """A quota has one open period; all before it are closed."""

    OPEN = "open"
    CLOSED = "closed"


class LeaseEnd(StrEnum):
    """How it became known what was spent of a lease: by Redis, by its spenders, or not, then all of it counts."""

    RETURNED = "returned"
    REPORTED = "reported"
    LOST = "lost"


class ReservationStatus(StrEnum):
    """A reservation holds its units while it is open; committed ones have spent theirs."""

    OPEN = "open"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"


class DecidedBy(StrEnum):
    """Who answered a check."""

    REDIS = "redis"
    POSTGRESQL = "postgresql"
    FAIL_MODE = "fail_mode"


class Reason(StrEnum):
    """Why a check was answered so."""

    GRANTED = "granted"
    USED_UP = "used_up"
    NO_QUOTA = "no_quota"
    NOT_ENFORCED = "not_enforced"
    UNREACHABLE = "unreachable"


PLAN_MARK = "quota_plan"
"""Dirty marks on customers whose subscription changed; subject: the customer."""
