from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing_worker.domains.notifications.handlers import (
    on_invoice_paid,
    on_invoice_payment_failed,
    on_subscription_deleted,
    on_trial_will_end,
)
from billing_worker.kernel.events import EventView

CREATED = datetime(2026, 3, 1, tzinfo=UTC)
AT = int(CREATED.timestamp())


def invoice(created: datetime = CREATED, **fields: Any) -> EventView:
    data = {
        "currency": "usd",
        "number": "A-1",
        "customer_email": "ann@example.com",
        "customer_name": "Ann",
        "attempt_count": 1,
        **fields,
    }
    return EventView(1, "", "evt_1", "x", "invoice", "in_1", "/invoice/in_1", "cus_1", created, {"id": "in_1", **data})


def subscription(**fields: Any) -> EventView:
    data = {"id": "sub_1", **fields}
    return EventView(1, "", "evt_1", "x", "subscription", "sub_1", "/subscription/sub_1", "cus_1", CREATED, data)


def test_a_failed_payment_is_told_with_what_is_owed_and_when_it_is_tried_again() -> None:
    [draft] = on_invoice_payment_failed(invoice(amount_due=900, amount_remaining=400, next_payment_attempt=AT + 86400))

    assert (draft.key, draft.kind) == (f"mail:invoice_payment_failed:in_1:1:{AT}", "mail.invoice_payment_failed")
    assert (draft.object_key, draft.customer_id) == ("/invoice/in_1", "cus_1")
    assert draft.not_after == CREATED + timedelta(days=7)
    assert draft.payload == {
        "invoice": "in_1",
        "number": "A-1",
        "currency": "usd",
        "amount_minor": 400,
        "next_payment_attempt": AT + 86400,
    }


def test_manual_attempts_that_share_a_count_are_different_failures() -> None:
    first, second = invoice(amount_due=1), invoice(CREATED + timedelta(seconds=1), amount_due=1)

    keys = [on_invoice_payment_failed(event)[0].key for event in (first, second, first)]

    assert keys[0] == keys[2]
    assert keys[0] != keys[1]


def test_a_receipt_is_for_money_that_came() -> None:
    [draft] = on_invoice_paid(invoice(amount_paid=900))

    assert (draft.key, draft.kind) == ("mail:invoice_paid:in_1:paid", "mail.invoice_paid")
    assert draft.payload == {"invoice": "in_1", "number": "A-1", "currency": "usd", "amount_minor": 900}


@pytest.mark.parametrize("paid", [{"amount_paid": 0}, {}, {"amount_paid": None}])
def test_nothing_paid_has_no_receipt(paid: dict[str, Any]) -> None:
    assert on_invoice_paid(invoice(**paid)) == []


def test_a_trials_end_is_told_until_it_has_come() -> None:
    end = AT + 3 * 86400
    [draft] = on_trial_will_end(subscription(trial_end=end, cancel_at_period_end=False, cancel_at=None))
    [ending] = on_trial_will_end(subscription(trial_end=end, cancel_at_period_end=True))
    [dated] = on_trial_will_end(subscription(trial_end=end, cancel_at=end))

    assert draft.key == f"mail:subscription_trial_ending:sub_1:{end}"
    assert draft.not_after == CREATED + timedelta(days=3)
    assert draft.payload == {"subscription": "sub_1", "trial_end": end, "ends_with_trial": False}
    assert (ending.payload["ends_with_trial"], dated.payload["ends_with_trial"]) == (True, True)
    assert on_trial_will_end(subscription(trial_end=None)) == []


def test_an_ended_subscription_is_confirmed_once() -> None:
    [asked] = on_subscription_deleted(subscription(ended_at=AT - 5, cancellation_details={"reason": None}))
    [unpaid] = on_subscription_deleted(subscription(cancellation_details={"reason": "payment_failed"}))

    assert (asked.key, asked.kind) == (f"mail:subscription_canceled:sub_1:{AT - 5}", "mail.subscription_canceled")
    assert asked.payload == {"subscription": "sub_1", "ended_at": AT - 5, "is_unpaid": False}
    assert (unpaid.key, unpaid.payload["is_unpaid"]) == (f"mail:subscription_canceled:sub_1:{AT}", True)


def test_no_address_and_no_name_is_kept_with_what_happened() -> None:
    drafts = [*on_invoice_paid(invoice(amount_paid=1)), *on_invoice_payment_failed(invoice(amount_due=1))]

    assert len(drafts) == 2
    assert [word for draft in drafts for word in ("@", "Ann") if word in draft.key + json.dumps(draft.payload)] == []
