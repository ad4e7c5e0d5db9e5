"""Monotone progress per type: what can only grow in an object's life orders events that share a second.

Shape: a tuple of numbers; one snapshot is later than another when no part is smaller and one is greater.
Source: Stripe documentation, the state diagrams of each object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Progress = Callable[[Mapping[str, Any]], tuple[int, ...]]


def ranks(field: str, **order: int) -> Progress:
    """Rank the states of one field; an unknown state ranks lowest."""
    return lambda data: (order.get(str(data.get(field)), -1),)


def counters(*fields: str) -> Progress:
    """Use fields that only grow."""
    return lambda data: tuple(_number(data.get(field)) for field in fields)


def present(*fields: str) -> Progress:
    """Use fields that are filled once and never emptied."""
    return lambda data: tuple(int(data.get(field) is not None) for field in fields)


def both(*parts: Progress) -> Progress:
    """Combine measures."""
    return lambda data: tuple(number for part in parts for number in part(data))


def is_later(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Say whether one snapshot is provably later than another of the same type."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def _number(value: object) -> int:
    return int(value) if isinstance(value, bool | int) else -1


INVOICE = both(
    ranks("status", draft=0, open=1, uncollectible=2, paid=3, void=3),
    counters("attempt_count", "amount_paid"),
)
CHARGE = both(
    ranks("status", pending=0, succeeded=1, failed=1),
    counters("captured", "amount_captured", "amount_refunded", "disputed"),
    present("balance_transaction"),
)
PAYMENT_INTENT = both(
    ranks("status", requires_capture=0, processing=0, succeeded=1, canceled=1),
    counters("amount_received"),
)
SETUP_INTENT = ranks("status", succeeded=0, canceled=0)
SUBSCRIPTION = ranks(
    "status", incomplete=0, trialing=1, active=1, past_due=1, unpaid=1, paused=1, canceled=2, incomplete_expired=2
)
SUBSCRIPTION_SCHEDULE = ranks("status", not_started=0, active=1, completed=2, released=2, canceled=2)
REFUND = ranks("status", pending=0, requires_action=0, succeeded=1, failed=2, canceled=2)
DISPUTE = ranks(
    "status",
    warning_needs_response=0,
    warning_under_review=1,
    needs_response=2,
    under_review=3,
    warning_closed=4,
    won=4,
    lost=4,
    prevented=4,
)
INVOICE_PAYMENT = ranks("status", open=0, paid=1, canceled=1)
CREDIT_NOTE = ranks("status", issued=0, void=1)
CHECKOUT_SESSION = both(
    ranks("status", open=0, complete=1, expired=1),
    ranks("payment_status", unpaid=0, no_payment_required=1, paid=1),
)
QUOTE = ranks("status", draft=0, open=1, accepted=2, canceled=2)
PAYOUT = ranks("status", pending=0, in_transit=1, paid=2, failed=3, canceled=3)
EVER_EQUAL: Progress = lambda _data: ()  # noqa: E731 - a value of the type above, not a function of its own
