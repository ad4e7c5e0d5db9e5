from __future__ import annotations

import pytest

from billing_worker.domains.payment_methods.rules import (
    DECLINES,
    WHAT_TO_DO,
    Retry,
    explain_decline,
    list_payment_facts,
)
from billing_worker.domains.payments.rules import LOOKS_FRAUDULENT, NEEDS_AUTHENTICATION, NEEDS_OTHER_CARD
from billing_worker.seeds.cards import CARDS, NEEDS_ACTION, SUCCEEDED


def test_every_code_that_collection_decides_by_is_explained() -> None:
    assert set(DECLINES) >= NEEDS_OTHER_CARD | NEEDS_AUTHENTICATION | LOOKS_FRAUDULENT


@pytest.mark.parametrize("code", sorted(NEEDS_OTHER_CARD))
def test_no_code_that_needs_another_card_is_explained_as_one_to_wait_for(code: str) -> None:
    assert explain_decline(code).retry is not Retry.LATER


def test_every_decline_of_a_test_card_is_explained() -> None:
    codes = {card.outcome for card in CARDS.values()} - {SUCCEEDED, NEEDS_ACTION}
    assert codes <= set(DECLINES)


@pytest.mark.parametrize("code", ["lost_card", "stolen_card", "pickup_card", "fraudulent", "merchant_blacklist"])
def test_a_customer_is_never_told_of_a_suspicion(code: str) -> None:
    told = explain_decline(code).tell_customer.lower()
    assert not any(word in told for word in ("lost", "stolen", "fraud", "block"))


def test_an_unknown_code_is_a_bank_without_a_reason() -> None:
    unknown = explain_decline("brand_new_code")
    assert (unknown.code, unknown.retry) == ("brand_new_code", Retry.LATER)


def test_a_payment_is_described_without_its_secret() -> None:
    intent = {
        "id": "pi_1",
        "status": "requires_action",
        "client_secret": "pi_1_secret_x",
        "customer": {"id": "cus_1", "object": "customer"},
        "next_action": {"type": "use_stripe_sdk"},
        "last_payment_error": {"code": "card_declined", "decline_code": "insufficient_funds"},
    }
    facts = list_payment_facts(intent)
    assert (facts["customer"], facts["action"], facts["last_error"]) == (
        "cus_1",
        "use_stripe_sdk",
        "insufficient_funds",
    )
    assert facts["what_to_do"] == WHAT_TO_DO["requires_action"]
    assert "pi_1_secret_x" not in str(facts)
