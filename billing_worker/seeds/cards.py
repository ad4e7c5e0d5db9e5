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
        Card("5200828282828210", "pm_card_mastercard_debit"),
        Card("5105105105105100", "pm_card_mastercard_prepaid"),
        Card("378282246310005", "pm_card_amex"),
        Card("6011111111111117", "pm_card_discover"),
        Card("3056930009020004", "pm_card_diners"),
        Card("3566002020360505", "pm_card_jcb"),
        Card("6200000000000005", "pm_card_unionpay"),
        Card("4000008260000000", "pm_card_gb"),
        Card("4000002760000016", "pm_card_de"),
        Card("4000002500000003", "pm_card_fr"),
        Card("4000000000000077", "pm_card_bypassPending"),
        Card("4000000000003720", "pm_card_bypassPendingInternational"),
        Card("4000000000000101", "pm_card_cvcCheckFail"),
        Card("4000000000000028", "pm_card_avsLine1Fail"),
        Card("4000000000000036", "pm_card_avsZipFail"),
        Card("4000000000009235", "pm_card_riskLevelElevated"),
        Card("4000000000000002", "pm_card_visa_chargeDeclined", "generic_decline"),
        Card("4000000000009995", "pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        Card("4000000000009987", "pm_card_visa_chargeDeclinedLostCard", "lost_card"),
        Card("4000000000009979", "pm_card_visa_chargeDeclinedStolenCard", "stolen_card"),
        Card("4000000000006975", "pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_velocity_exceeded"),
        Card("4000000000000069", "pm_card_chargeDeclinedExpiredCard", "expired_card"),
        Card("4000000000000127", "pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
        Card("4000000000000119", "pm_card_chargeDeclinedProcessingError", "processing_error"),
        Card("4100000000000019", "pm_card_chargeDeclinedFraudulent", "fraudulent"),
        Card("4000000000004954", "pm_card_riskLevelHighest", "fraudulent"),
        Card("4000000000000341", "pm_card_chargeCustomerFail", "generic_decline"),
        Card("4000002500003155", "pm_card_authenticationRequiredOnSetup", NEEDS_ACTION),
        Card("4000002760003184", "pm_card_authenticationRequired", NEEDS_ACTION),
        Card("4000000000003220", "pm_card_threeDSecure2Required", NEEDS_ACTION),
        Card("4000000000003055", "pm_card_threeDSecureOptional"),
        Card("4000008260003178", "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", NEEDS_ACTION),
        Card("4000008400001629", "pm_card_threeDSecureRequiredChargeDeclined", NEEDS_ACTION),
        Card("4000000000000259", "pm_card_createDispute"),
        Card("4000000000002685", "pm_card_createDisputeProductNotReceived"),
        Card("4000000000001976", "pm_card_createDisputeInquiry"),
        Card("4000000000005126", "pm_card_refundFail"),
    )
}
