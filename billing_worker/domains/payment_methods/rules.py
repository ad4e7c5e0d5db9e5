"""What decline codes mean: for whom, whether to try again, and what to tell the customer.

Source: Stripe documentation, “Decline codes” and “Error codes”.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Retry(StrEnum):
    """Whether the same payment may be tried again with the same payment method."""

    LATER = "yes, later"
    WITH_CUSTOMER = "yes, with the customer present"
    CORRECTED = "yes, with corrected details"
    OTHER_METHOD = "no, another payment method is needed"
    NEVER = "no, look at the customer first"


@dataclass(frozen=True, slots=True)
class Decline:
    """One code in plain words."""

    code: str
    meaning: str
    retry: Retry
    tell_customer: str


ASK_BANK = "Your bank declined the payment. Please ask your bank, or use another card."
OTHER_CARD = "This card cannot be used. Please use another card."
CHECK = "Please check the details of your card and enter them again."

_ROWS: tuple[tuple[str, str, Retry, str], ...] = (
    ("approve_with_id", "the payment could not be authorised", Retry.LATER, ASK_BANK),
    (
        "authentication_required",
        "the bank wants the customer to confirm the payment (3-D Secure)",
        Retry.WITH_CUSTOMER,
        "Your bank asks you to confirm this payment. Please open the link and follow your bank's steps.",
    ),
    (
        "authentication_not_handled",
        "the bank wanted a confirmation that did not come",
        Retry.WITH_CUSTOMER,
        "Your bank asked you to confirm this payment and heard nothing. Please try again and confirm it.",
    ),
    ("call_issuer", "the bank gives no reason", Retry.OTHER_METHOD, ASK_BANK),
    ("card_not_supported", "the card does not allow this kind of purchase", Retry.OTHER_METHOD, OTHER_CARD),
    (
        "card_velocity_exceeded",
        "the customer has reached the card's limit of amount or number of payments",
        Retry.LATER,
        "Your card has reached its limit. Please ask your bank, wait a few days, or use another card.",
    ),
    (
        "currency_not_supported",
        "the card does not pay in this currency",
        Retry.OTHER_METHOD,
        "Your card cannot pay in this currency. Please use another card.",
    ),
    ("do_not_honor", "the bank gives no reason", Retry.LATER, ASK_BANK),
    ("do_not_try_again", "the bank wants no further attempt", Retry.OTHER_METHOD, ASK_BANK),
    (
        "duplicate_transaction",
        "a payment of the same amount with this card was made just before",
        Retry.LATER,
        "A payment of the same amount was just made. Please check whether you have paid already.",
    ),
    ("expired_card", "the card has expired", Retry.OTHER_METHOD, "Your card has expired. Please use another card."),
    ("fraudulent", "Stripe or the bank suspects fraud; do not tell the customer why", Retry.NEVER, ASK_BANK),
    ("generic_decline", "the bank gives no reason", Retry.LATER, ASK_BANK),
    ("highest_risk_level", "Stripe's risk check blocked the payment", Retry.NEVER, ASK_BANK),
    ("incorrect_address", "the address does not fit the card", Retry.CORRECTED, CHECK),
    ("incorrect_cvc", "the security code is wrong", Retry.CORRECTED, CHECK),
    ("incorrect_number", "the card number is wrong", Retry.CORRECTED, CHECK),
    ("incorrect_pin", "the PIN is wrong", Retry.CORRECTED, CHECK),
    ("incorrect_zip", "the postal code does not fit the card", Retry.CORRECTED, CHECK),
    (
        "insufficient_funds",
        "there is not enough money on the account",
        Retry.LATER,
        "There was not enough money on your account. We will try again, or you can use another card.",
    ),
    ("invalid_account", "the card or its account is not valid any more", Retry.OTHER_METHOD, OTHER_CARD),
    ("invalid_amount", "the amount is not allowed or above what the bank allows", Retry.OTHER_METHOD, ASK_BANK),
    ("invalid_cvc", "the security code is wrong", Retry.CORRECTED, CHECK),
    ("invalid_expiry_month", "the month of expiry is wrong", Retry.CORRECTED, CHECK),
    ("invalid_expiry_year", "the year of expiry is wrong", Retry.CORRECTED, CHECK),
    ("invalid_number", "the card number is wrong", Retry.CORRECTED, CHECK),
    ("issuer_not_available", "the bank could not be reached", Retry.LATER, "Your bank could not be reached."),
    ("lost_card", "the card is reported lost; do not tell the customer why", Retry.NEVER, ASK_BANK),
    ("merchant_blacklist", "the card is on your own block list; do not tell the customer", Retry.NEVER, ASK_BANK),
    ("new_account_information_available", "the card has been replaced", Retry.OTHER_METHOD, OTHER_CARD),
    ("no_action_taken", "the bank gives no reason", Retry.LATER, ASK_BANK),
    ("not_permitted", "the payment is not permitted", Retry.LATER, ASK_BANK),
    ("offline_pin_required", "the bank wants a PIN", Retry.WITH_CUSTOMER, "Please pay with your card and its PIN."),
    ("payment_method_missing", "there was nothing to pay with", Retry.OTHER_METHOD, "Please add a card."),
    ("pickup_card", "the card must not be used, perhaps lost or stolen; do not say why", Retry.NEVER, ASK_BANK),
    ("pin_try_exceeded", "the PIN was wrong too often", Retry.OTHER_METHOD, OTHER_CARD),
    (
        "processing_error",
        "an error of the card's network",
        Retry.LATER,
        "Something went wrong at the card company. We will try again.",
    ),
    ("reenter_transaction", "the bank could not process the payment", Retry.LATER, ASK_BANK),
    ("restricted_card", "the card must not be used, perhaps lost or stolen; do not say why", Retry.NEVER, ASK_BANK),
    ("revocation_of_all_authorizations", "the customer forbade all payments", Retry.OTHER_METHOD, OTHER_CARD),
    ("revocation_of_authorization", "the customer forbade this payment", Retry.OTHER_METHOD, OTHER_CARD),
    ("security_violation", "the bank gives no reason", Retry.OTHER_METHOD, ASK_BANK),
    ("service_not_allowed", "the bank gives no reason", Retry.OTHER_METHOD, ASK_BANK),
    ("stolen_card", "the card is reported stolen; do not tell the customer why", Retry.NEVER, ASK_BANK),
    ("stop_payment_order", "the customer stopped the payment at the bank", Retry.OTHER_METHOD, ASK_BANK),
    ("testmode_decline", "a test card was used in live mode", Retry.OTHER_METHOD, "Please use a real card."),
    ("transaction_not_allowed", "the bank does not allow the payment", Retry.OTHER_METHOD, ASK_BANK),
    ("try_again_later", "the bank gives no reason", Retry.LATER, ASK_BANK),
    ("withdrawal_count_limit_exceeded", "the account's limit is reached", Retry.LATER, ASK_BANK),
)

DECLINES: Mapping[str, Decline] = {code: Decline(code, meaning, retry, tell) for code, meaning, retry, tell in _ROWS}


def explain_decline(code: str) -> Decline:
    """Explain a code; one that is not known is treated like a bank that gives no reason."""
    known = DECLINES.get(code)
    if known is not None:
        return known
    return Decline(code, "a code that this release does not know: the bank gives no reason", Retry.LATER, ASK_BANK)


WHAT_TO_DO = {
    "requires_payment_method": "give it another payment method, or let the customer pay on the invoice's page",
    "requires_confirmation": "confirm it",
    "requires_action": "the customer has to authenticate: give the client secret to the page the customer has open",
    "requires_capture": "capture it, or cancel it",
    "processing": "wait: the bank has not answered yet",
    "canceled": "nothing: it was given up",
    "succeeded": "nothing: it is paid",
}
"""The next step by status. Source: Stripe documentation, “How PaymentIntents work”."""


def list_payment_facts(intent: Mapping[str, Any]) -> dict[str, object]:
    """Describe a payment intent, without its client secret."""
    error = intent.get("last_payment_error") or {}
    code = error.get("decline_code") or error.get("code")
    return {
        "payment_intent": intent.get("id"),
        "status": intent.get("status"),
        "what_to_do": WHAT_TO_DO.get(str(intent.get("status"))),
        "amount_minor": intent.get("amount"),
        "amount_received_minor": intent.get("amount_received"),
        "currency": intent.get("currency"),
        "customer": _id(intent.get("customer")),
        "payment_method": _id(intent.get("payment_method")),
        "latest_charge": _id(intent.get("latest_charge")),
        "action": (intent.get("next_action") or {}).get("type"),
        "last_error": code,
        "last_error_means": None if code is None else explain_decline(code).meaning,
        "livemode": intent.get("livemode"),
    }


def _id(value: object) -> object:
    return value.get("id") if isinstance(value, Mapping) else value
