"""The words of overage: what a row is and how far it is."""

from __future__ import annotations

from enum import StrEnum


class OverageKind(StrEnum):
    """What a row charges: a period's overage, or what was found out about the period after it was billed."""

    PERIOD = "period"
    ADJUSTMENT = "adjustment"


class OverageStatus(StrEnum):
    """How far a row is.

    Shape: computed → billing → billed | failed; computed ⇄ carried (too little to bill alone); waived: nothing to
    charge; unbillable: no price, no customer, or Stripe itself bills the metric.
    """

    COMPUTED = "computed"
    CARRIED = "carried"
    BILLING = "billing"
    BILLED = "billed"
    WAIVED = "waived"
    UNBILLABLE = "unbillable"
    FAILED = "failed"


OPEN = (OverageStatus.COMPUTED, OverageStatus.CARRIED)
"""Nothing was sent to Stripe yet: such a row may still change."""


class OverageSource(StrEnum):
    """Where a row's figures come from."""

    USAGE = "usage"
    OPERATOR = "operator"
