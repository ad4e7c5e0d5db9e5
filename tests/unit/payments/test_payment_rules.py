from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.domains.payments.rules import (
    JITTER,
    LOOKS_FRAUDULENT,
    NEEDS_AUTHENTICATION,
    NEEDS_OTHER_CARD,
    RetryPolicy,
    compute_decision,
    compute_standing,
)
from billing_worker.domains.payments.states import RetryDecision
from billing_worker.kernel.errors import InvalidValueError

FAILED_AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
POLICY = RetryPolicy((1, 3, 5, 7))
HARD = sorted(NEEDS_OTHER_CARD | NEEDS_AUTHENTICATION | LOOKS_FRAUDULENT)


def decide(code: str | None, attempt: int = 1, policy: RetryPolicy = POLICY) -> Any:
    return compute_decision(policy, invoice_id="in_1", attempt_count=attempt, failed_at=FAILED_AT, decline_code=code)


@pytest.mark.parametrize("code", HARD)
def test_a_final_decline_is_never_retried(code: str) -> None:
    plan = decide(code)
    assert plan.decision is not RetryDecision.RETRY
    assert plan.due_at is None
    assert code in plan.explanation


@pytest.mark.parametrize(
    ("code", "decision"),
    [
        ("lost_card", RetryDecision.WAIT_FOR_CUSTOMER),
        ("authentication_required", RetryDecision.WAIT_FOR_CUSTOMER),
        ("fraudulent", RetryDecision.GIVE_UP),
        ("insufficient_funds", RetryDecision.RETRY),
        ("a_code_of_next_year", RetryDecision.RETRY),
        (None, RetryDecision.RETRY),
    ],
)
def test_the_code_decides(code: str | None, decision: RetryDecision) -> None:
    assert decide(code).decision is decision


@given(
    code=st.sampled_from(["insufficient_funds", "do_not_honor", None]),
    days=st.lists(st.integers(1, 90), min_size=1, max_size=8),
    attempt=st.integers(1, 12),
    invoice_id=st.text(min_size=1, max_size=20),
)
def test_a_soft_decline_is_retried_on_its_day_and_given_up_after_the_last(
    code: str | None, days: list[int], attempt: int, invoice_id: str
) -> None:
    policy = RetryPolicy(tuple(days))
    plans = [
        compute_decision(policy, invoice_id=invoice_id, attempt_count=attempt, failed_at=FAILED_AT, decline_code=code)
        for _ in range(2)
    ]
    assert plans[0] == plans[1]
    if attempt > len(days):
        assert (plans[0].decision, plans[0].due_at) == (RetryDecision.GIVE_UP, None)
    else:
        assert plans[0].due_at is not None
        wait = plans[0].due_at - FAILED_AT - timedelta(days=days[attempt - 1])
        assert timedelta(0) <= wait < JITTER


def test_retry_days_are_read_from_the_setting() -> None:
    assert RetryPolicy.parse(("1", "10")) == RetryPolicy((1, 10))
    assert RetryPolicy.parse(()) == RetryPolicy(())


@pytest.mark.parametrize("values", [("0",), ("1", "x"), ("91",), ("-1",), ("1.5",)])
def test_retry_days_that_cannot_work_are_refused_with_an_example(values: tuple[str, ...]) -> None:
    with pytest.raises(InvalidValueError, match="for example 1,3,5,7"):
        RetryPolicy.parse(values)


def invoice(*intents: dict[str, Any] | str, **fields: Any) -> dict[str, Any]:
    payments = [
        {
            "id": f"inpay_{n}",
            "is_default": n == 0,
            "created": n,
            "status": "open",
            "payment": {"payment_intent": intent},
        }
        for n, intent in enumerate(intents)
    ]
    return {"id": "in_1", "status": "open", "payments": {"data": payments}, **fields}


def intent(status: str = "requires_payment_method", **fields: Any) -> dict[str, Any]:
    return {"id": "pi_1", "object": "payment_intent", "status": status, "latest_charge": "ch_1", **fields}


@pytest.mark.parametrize(
    ("given_invoice", "code"),
    [
        (invoice(intent(last_payment_error={"code": "card_declined", "decline_code": "lost_card"})), "lost_card"),
        (invoice(intent(last_payment_error={"code": "expired_card"})), "expired_card"),
        (invoice(intent("requires_action", last_payment_error=None)), "authentication_required"),
        (invoice(intent(latest_charge=None, payment_method=None)), "payment_method_missing"),
        (invoice(intent()), None),
        (invoice("pi_not_expanded"), None),
        (invoice(), None),
        ({"id": "in_1", "status": "open"}, None),
    ],
)
def test_the_decline_code_is_read_from_the_default_payment(given_invoice: dict[str, Any], code: str | None) -> None:
    assert compute_standing(given_invoice).decline_code == code


def test_the_default_payment_counts_before_others() -> None:
    other = intent("succeeded", last_payment_error={"code": "expired_card"})
    found = compute_standing(invoice(intent(last_payment_error={"decline_code": "do_not_honor"}), other))
    assert (found.decline_code, found.is_under_way) == ("do_not_honor", False)
    assert compute_standing(invoice(intent("processing"))).is_under_way
    assert compute_standing(invoice(next_payment_attempt=17)).stripe_retries_at == 17
