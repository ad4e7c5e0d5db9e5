"""Stripe's test cards and what each of them does when it is charged."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from billing_worker.sandbox.core.documents import Document, clone
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.session import Session

_MONTHS = 12
_YEARS_AHEAD = 50
_VALID_YEARS = 5
_CVC = re.compile(r"\d{3,4}")
_MESSAGES = {
    "card_declined": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}


@dataclass(frozen=True, slots=True)
class Card:
    """One test card. Source: Stripe documentation, “Test card numbers”."""

    number: str
    brand: str = "visa"
    decline_code: str | None = None
    code: str = "card_declined"
    needs_action: bool = False
    dispute_reason: str | None = None
    refund_fails: bool = False
    is_instant: bool = False
    funding: str = "credit"
    country: str = "US"
    failing_check: str | None = None
    risk: str = "normal"

    @property
    def fails_on_setup(self) -> bool:
        """Whether its bank refuses even to be remembered; 0341 and what asks its holder first are remembered."""
        return self.decline_code is not None and not self.needs_action and self.number != "4000000000000341"

    @property
    def message(self) -> str:
        """The words of its refusal."""
        return _MESSAGES.get(
            self.code if self.code != "card_declined" else self.decline_code or "", _MESSAGES["card_declined"]
        )


TEST_METHODS: dict[str, Card] = {
    "pm_card_visa": Card("4242424242424242"),
    "pm_card_visa_debit": Card("4000056655665556", funding="debit"),
    "pm_card_mastercard": Card("5555555555554444", "mastercard"),
    "pm_card_mastercard_debit": Card("5200828282828210", "mastercard", funding="debit"),
    "pm_card_mastercard_prepaid": Card("5105105105105100", "mastercard", funding="prepaid"),
    "pm_card_amex": Card("378282246310005", "amex"),
    "pm_card_discover": Card("6011111111111117", "discover"),
    "pm_card_diners": Card("3056930009020004", "diners"),
    "pm_card_jcb": Card("3566002020360505", "jcb"),
    "pm_card_unionpay": Card("6200000000000005", "unionpay"),
    "pm_card_gb": Card("4000008260000000", country="GB"),
    "pm_card_de": Card("4000002760000016", country="DE"),
    "pm_card_fr": Card("4000002500000003", country="FR"),
    "pm_card_bypassPending": Card("4000000000000077", is_instant=True),
    "pm_card_bypassPendingInternational": Card("4000000000003720", is_instant=True, country="GB"),
    "pm_card_cvcCheckFail": Card("4000000000000101", failing_check="cvc_check"),
    "pm_card_avsLine1Fail": Card("4000000000000028", failing_check="address_line1_check"),
    "pm_card_avsZipFail": Card("4000000000000036", failing_check="address_postal_code_check"),
    "pm_card_riskLevelElevated": Card("4000000000009235", risk="elevated"),
    "pm_card_visa_chargeDeclined": Card("4000000000000002", decline_code="generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": Card("4000000000009995", decline_code="insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": Card("4000000000009987", decline_code="lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": Card("4000000000009979", decline_code="stolen_card"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": Card("4000000000006975", decline_code="card_velocity_exceeded"),
    "pm_card_chargeDeclinedExpiredCard": Card("4000000000000069", decline_code="expired_card", code="expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": Card("4000000000000127", decline_code="incorrect_cvc", code="incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": Card(
        "4000000000000119", decline_code="processing_error", code="processing_error"
    ),
    "pm_card_chargeDeclinedFraudulent": Card("4100000000000019", decline_code="fraudulent"),
    "pm_card_riskLevelHighest": Card("4000000000004954", decline_code="fraudulent", risk="highest"),
    "pm_card_chargeCustomerFail": Card("4000000000000341", decline_code="generic_decline"),
    "pm_card_authenticationRequiredOnSetup": Card("4000002500003155", needs_action=True),
    "pm_card_authenticationRequired": Card("4000002760003184", needs_action=True),
    "pm_card_threeDSecure2Required": Card("4000000000003220", needs_action=True),
    "pm_card_threeDSecureOptional": Card("4000000000003055"),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": Card(
        "4000008260003178", decline_code="insufficient_funds", needs_action=True
    ),
    "pm_card_threeDSecureRequiredChargeDeclined": Card(
        "4000008400001629", decline_code="generic_decline", needs_action=True
    ),
    "pm_card_createDispute": Card("4000000000000259", dispute_reason="fraudulent"),
    "pm_card_createDisputeProductNotReceived": Card("4000000000002685", dispute_reason="product_not_received"),
    "pm_card_createDisputeInquiry": Card("4000000000001976", dispute_reason="general"),
    "pm_card_refundFail": Card("4000000000005126", refund_fails=True),
}
PLAIN = TEST_METHODS["pm_card_visa"]
"""What succeeds without anything special."""
_DISPLAYED = {"amex": "american_express", "diners": "diners_club"}
"""Brands that are shown by another name."""
_ALIASES = {
    "pm_card_chargeDeclined": "pm_card_visa_chargeDeclined",
    "pm_card_chargeDeclinedInsufficientFunds": "pm_card_visa_chargeDeclinedInsufficientFunds",
    "pm_card_chargeDeclinedLostCard": "pm_card_visa_chargeDeclinedLostCard",
    "pm_card_chargeDeclinedStolenCard": "pm_card_visa_chargeDeclinedStolenCard",
}
_BY_NUMBER = {card.number: name for name, card in TEST_METHODS.items()}


BLANK_BILLING: Document = {
    "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
    "email": None,
    "name": None,
    "phone": None,
    "tax_id": None,
}


def card_of(method: Document) -> Card:
    """Tell how a payment method behaves.

    Raises: ApiError for a payment method that is no card.
    """
    if "_behaviour" not in method:
        raise invalid(
            f"The sandbox does this with cards only, not with {method['type']}.",
            param="payment_method",
            code="sandbox_not_simulated",
        )
    return TEST_METHODS[method["_behaviour"]]


def card_at(method: Document, now: int) -> Card:
    """Tell how a payment method behaves at an instant: past its month every card is declined as expired."""
    card = card_of(method)
    today = datetime.fromtimestamp(now, UTC)
    if (method["card"]["exp_year"], method["card"]["exp_month"]) >= (today.year, today.month):
        return card
    return replace(card, decline_code="expired_card", code="expired_card", needs_action=False)


def find_method(session: Session, object_id: str, *, param: str = "payment_method") -> Document:
    """Return a payment method; the name of a test card makes a new one.

    Raises: ApiError resource_missing.
    """
    name = _ALIASES.get(object_id, object_id)
    if name in TEST_METHODS:
        return session.add(_payment_method(session, name, {}, None))
    return session.get("payment_method", object_id, param=param)


def behaviour_of_token(token: str) -> str:
    """Tell which test card a test token such as tok_visa stands for; the empty string for none."""
    name = token.replace("tok_", "pm_card_", 1)
    name = _ALIASES.get(name, name)
    return name if name in TEST_METHODS else ""


def create_method(session: Session, params: dict[str, Any]) -> Document:
    """Make a payment method from a test card's number or token, and add it."""
    method = card_method(session, params.get("card") or {}, params.get("billing_details"))
    method["metadata"] = params.get("metadata") or {}
    return session.add(method)


def card_method(session: Session, card: Document, billing: Document | None = None) -> Document:
    """Build a payment method from a test card's number or token, not yet added.

    Raises: ApiError for anything else: no real card number is ever taken in.
    """
    if not isinstance(card, dict):
        raise invalid("Invalid object", param="card")
    if token := card.get("token"):
        name = behaviour_of_token(token)
    else:
        name = _BY_NUMBER.get(str(card.get("number", "")).replace(" ", ""), "")
    if name not in TEST_METHODS:
        raise ApiError(
            "Your card number is incorrect. The sandbox takes Stripe's test cards only.",
            status=402,
            kind="card_error",
            code="incorrect_number",
            param="card[number]",
        )
    _check_details(session, card := card | _expiry(card))
    return _payment_method(session, name, _expiry(card), billing)


def _expiry(card: Document) -> Document:
    # Tokens take them as text, payment methods as numbers.
    given = {name: str(card[name]) for name in ("exp_month", "exp_year") if name in card}
    if wrong := [name for name, value in given.items() if not value.isdecimal()]:
        raise _wrong("expiration date is invalid", "invalid_expiry_month", wrong[0])
    return {name: int(value) for name, value in given.items()}


def _check_details(session: Session, card: Document) -> None:
    today = datetime.fromtimestamp(session.now, UTC)
    month, year = card.get("exp_month", _MONTHS), card.get("exp_year", today.year + 1)
    if not 1 <= month <= _MONTHS:
        raise _wrong("expiration month is invalid", "invalid_expiry_month", "exp_month")
    if year < today.year or year > today.year + _YEARS_AHEAD:
        raise _wrong("expiration year is invalid", "invalid_expiry_year", "exp_year")
    if (year, month) < (today.year, today.month):
        raise _wrong("expiration month is invalid", "invalid_expiry_month", "exp_month")
    if "cvc" in card and not _CVC.fullmatch(str(card["cvc"])):
        raise _wrong("security code is invalid", "invalid_cvc", "cvc")


def _wrong(what: str, code: str, param: str) -> ApiError:
    return ApiError(f"Your card's {what}.", status=402, kind="card_error", code=code, param=param)


def _payment_method(session: Session, name: str, expiry: Document, billing: Document | None) -> Document:
    card = TEST_METHODS[name]
    checks = {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"}
    if card.failing_check is not None:
        checks[card.failing_check] = "fail"
    return {
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": clone(BLANK_BILLING) | (billing or {}),
        "card": {
            "brand": card.brand,
            "checks": checks,
            "country": card.country,
            "display_brand": _DISPLAYED.get(card.brand, card.brand),
            "exp_month": 12,
            "exp_year": max(2034, datetime.fromtimestamp(session.now, UTC).year + _VALID_YEARS),
            "fingerprint": f"sandbox{card.number[-9:]}",
            "funding": card.funding,
            "generated_from": None,
            "last4": card.number[-4:],
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        }
        | expiry,
        "created": session.now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
        "_behaviour": name,
    }
