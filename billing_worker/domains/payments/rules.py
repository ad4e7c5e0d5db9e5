"""What a decline code calls for, and when to try again: decided by codes, never by the words of a message."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from billing_worker.domains.payments.states import RetryDecision
from billing_worker.kernel.errors import InvalidValueError

NEEDS_OTHER_CARD = frozenset(
    {
        *("lost_card", "stolen_card", "pickup_card", "restricted_card", "expired_card", "invalid_account"),
        *("incorrect_number", "invalid_number", "incorrect_cvc", "invalid_cvc", "incorrect_zip", "incorrect_address"),
        *("invalid_expiry_month", "invalid_expiry_year", "card_not_supported", "currency_not_supported"),
        *("revocation_of_authorization", "revocation_of_all_authorizations", "stop_payment_order"),
        *("transaction_not_allowed", "do_not_try_again", "new_account_information_available", "testmode_decline"),
        "payment_method_missing",
    }
)
"""Source: Stripe documentation, “Decline codes” and “Smart Retries” (codes that need a new payment method)."""

NEEDS_AUTHENTICATION = frozenset({"authentication_required", "authentication_not_handled", "offline_pin_required"})
"""Only the customer can finish these, on session."""

LOOKS_FRAUDULENT = frozenset({"fraudulent", "merchant_blacklist", "highest_risk_level"})
"""Nobody should try these again before a person has looked; the customer is not told why."""

JITTER = timedelta(hours=1)
"""Renewals share their hour; their retries are spread over one."""


CLAIM = timedelta(minutes=10)
"""A claimed retry that its worker never came back to is looked at again after this time."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a failed payment is tried again.

    Units: `days[n-1]` lie between the n-th failure and the next attempt.
    """

    days: tuple[int, ...]

    @classmethod
    def parse(cls, values: Sequence[str]) -> RetryPolicy:
        """Read BILLING_PAYMENT_RETRY_DAYS.

        Raises: InvalidValueError for anything but whole days from 1 to 90.
        """
        if not all(value.isdecimal() and 1 <= int(value) <= 90 for value in values):  # noqa: PLR2004 - said in the message
            raise InvalidValueError(
                f"BILLING_PAYMENT_RETRY_DAYS={','.join(values)}: write whole days from 1 to 90, for example 1,3,5,7"
            )
        return cls(tuple(int(value) for value in values))


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about one failed payment, with the reason in one sentence."""

    decision: RetryDecision
    explanation: str
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class InvoiceStanding:
    """What Stripe says of an invoice at the moment we are about to act."""

    status: str
    stripe_retries_at: int | None
    decline_code: str | None
    is_under_way: bool


def compute_decision(
    policy: RetryPolicy, *, invoice_id: str, attempt_count: int, failed_at: datetime, decline_code: str | None
) -> Decision:
    """Decide by the decline code and the number of failures what happens next."""
    if decline_code in NEEDS_AUTHENTICATION:
        return Decision(
            RetryDecision.WAIT_FOR_CUSTOMER,
            f"the bank wants the customer to authenticate ({decline_code}): trying again without them cannot succeed",
        )
    if decline_code in NEEDS_OTHER_CARD:
        return Decision(
            RetryDecision.WAIT_FOR_CUSTOMER,
            f"{decline_code} is final for this payment method: the customer has to give another one",
        )
    if decline_code in LOOKS_FRAUDULENT:
        return Decision(
            RetryDecision.GIVE_UP, f"{decline_code}: the payment looks fraudulent, a person has to look at the customer"
        )
    if attempt_count > len(policy.days):
        return Decision(
            RetryDecision.GIVE_UP,
            f"failure {attempt_count} of {len(policy.days) + 1}: all retries are used up, collect by other means",
        )
    wait = timedelta(days=policy.days[attempt_count - 1])
    said = f"{decline_code} may pass" if decline_code else "no decline code is known"
    return Decision(
        RetryDecision.RETRY,
        f"{said}: retry {attempt_count} of {len(policy.days)}, {wait.days} days after the failure",
        failed_at + wait + _jitter(invoice_id),
    )


def compute_standing(invoice: Mapping[str, Any]) -> InvoiceStanding:
    """Read an invoice that was retrieved with `payments.data.payment.payment_intent` expanded.

    Shape: the decline code is the bank's word where there is one, Stripe's own error code otherwise.
    """
    intent = _latest_intent(invoice)
    error = intent.get("last_payment_error") or {}
    code = error.get("decline_code") or error.get("code")
    status = intent.get("status")
    if status == "requires_action":
        code = "authentication_required"
    if code is None and not intent.get("latest_charge") and not intent.get("payment_method"):
        code = "payment_method_missing" if status == "requires_payment_method" else None
    return InvoiceStanding(
        status=str(invoice.get("status")),
        stripe_retries_at=invoice.get("next_payment_attempt"),
        decline_code=code,
        is_under_way=status == "processing",
    )


def _latest_intent(invoice: Mapping[str, Any]) -> Mapping[str, Any]:
    payments = [
        payment for payment in (invoice.get("payments") or {}).get("data") or [] if payment.get("status") != "canceled"
    ]
    payments.sort(key=lambda payment: (bool(payment.get("is_default")), payment.get("created") or 0), reverse=True)
    for payment in payments:
        intent = (payment.get("payment") or {}).get("payment_intent")
        if isinstance(intent, Mapping):
            return intent
    return {}


def _jitter(invoice_id: str) -> timedelta:
    # Derived from the id, so that planning twice gives the same time.
    return timedelta(seconds=zlib.crc32(invoice_id.encode()) % int(JITTER.total_seconds()))
