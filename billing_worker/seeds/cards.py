"""Stripe's test cards: what each stands for. Source: Stripe documentation, “Test card numbers”."""

from __future__ import annotations

from dataclasses import dataclass

SUCCEEDED = "succeeded"
NEEDS_ACTION = "requires_action"


@dataclass(frozen=True, slots=True)
class Card:
    """One card: the payment method that stands for it, and what a payment with it must come to."""

    number: str
    method: str
    outcome: str = SUCCEEDED


CARDS: dict[str, Card] = {
    card.number: card
    for card in (
        Card("4242424242424242", "pm_card_visa"),
        Card("4000056655665556", "pm_card_visa_debit"),
        Card("5555555555554444", "pm_card_mastercard"),
        Card("378282246310005", "pm_card_amex"),
        Card("6011111111111117", "pm_card_discover"),
        Card("4000000000000077", "pm_card_bypassPending"),
        Card("4000000000000002", "pm_card_visa_chargeDeclined", "generic_decline"),
        Card("4000000000009995", "pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        Card("4000000000009987", "pm_card_visa_chargeDeclinedLostCard", "lost_card"),
        Card("4000000000009979", "pm_card_visa_chargeDeclinedStolenCard", "stolen_card"),
        Card("4000000000006975", "pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_velocity_exceeded"),
        Card("4000000000000069", "pm_card_chargeDeclinedExpiredCard", "expired_card"),
        Card("4000000000000127", "pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
        Card("4000000000000119", "pm_card_chargeDeclinedProcessingError", "processing_error"),
        Card("4100000000000019", "pm_card_chargeDeclinedFraudulent", "fraudulent"),
        Card("4000000000000341", "pm_card_chargeCustomerFail", "generic_decline"),
        Card("4000002500003155", "pm_card_authenticationRequiredOnSetup", NEEDS_ACTION),
        Card("4000002760003184", "pm_card_authenticationRequired", NEEDS_ACTION),
        Card("4000000000003220", "pm_card_threeDSecure2Required", NEEDS_ACTION),
        Card("4000000000000259", "pm_card_createDispute"),
        Card("4000000000002685", "pm_card_createDisputeProductNotReceived"),
        Card("4000000000001976", "pm_card_createDisputeInquiry"),
        Card("4000000000005126", "pm_card_refundFail"),
    )
}
