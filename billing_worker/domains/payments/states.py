"""The states of retries, queued payments and money movements."""

from __future__ import annotations

from enum import StrEnum


class RetryDecision(StrEnum):
    """What a decline calls for."""

    RETRY = "retry"
    GIVE_UP = "give_up"
    WAIT_FOR_CUSTOMER = "wait_for_customer"


class RetryStatus(StrEnum):
    """How far the answer to one failed payment is.

    Shape: waiting → trying → recovered | declined; waiting → given_up | canceled.
    """

    WAITING = "waiting"
    TRYING = "trying"
    RECOVERED = "recovered"
    DECLINED = "declined"
    GIVEN_UP = "given_up"
    CANCELED = "canceled"


OPEN_RETRIES = (RetryStatus.WAITING, RetryStatus.TRYING)


class QueueStatus(StrEnum):
    """How far a stored payment is: queued → released → done | failed; queued → discarded."""

    QUEUED = "queued"
    RELEASED = "released"
    DONE = "done"
    FAILED = "failed"
    DISCARDED = "discarded"


class TransactionKind(StrEnum):
    """What moved money; amounts are positive, the kind gives the direction."""

    CHARGE = "charge"
    REFUND = "refund"
    REFUND_REVERSAL = "refund_reversal"
    DISPUTE = "dispute"
    DISPUTE_REVERSAL = "dispute_reversal"
