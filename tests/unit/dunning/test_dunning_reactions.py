from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from billing_worker.domains.dunning.handlers import (
    on_customer_updated,
    on_invoice_closed,
    on_invoice_paid,
    on_invoice_payment_failed,
    on_subscription_updated,
)
from billing_worker.domains.dunning.rules import check_ours_to_chase
from billing_worker.kernel.events import EventView

CREATED = datetime(2026, 3, 1, tzinfo=UTC)
AT = int(CREATED.timestamp())


def view(kind: str = "invoice.payment_failed", **fields: Any) -> EventView:
    data = {"id": "in_1", "object": "invoice", "currency": "usd", "amount_due": 900, "attempt_count": 1, **fields}
    return EventView(1, "", "evt_1", kind, "invoice", "in_1", "/invoice/in_1", "cus_1", CREATED, data)


def test_a_failed_payment_is_keyed_by_invoice_attempt_and_second() -> None:
    parent = {"subscription_details": {"subscription": "sub_1"}}
    [draft] = on_invoice_payment_failed(view(parent=parent, amount_remaining=400, billing_reason="subscription_cycle"))
    assert (draft.key, draft.kind, draft.object_key) == (
        f"payment_failed:in_1:1:{AT}",
        "dunning.plan_retry",
        "/invoice/in_1",
    )
    assert draft.payload == {
        "invoice": "in_1",
        "failed_at": AT,
        "attempt_count": 1,
        "amount_due_minor": 400,
        "currency": "usd",
        "subscription": "sub_1",
        "next_payment_attempt": None,
        "billing_reason": "subscription_cycle",
        "collection_method": None,
    }


def test_expanded_and_absent_subscriptions_and_counts_are_taken_as_they_come() -> None:
    parent = {"subscription_details": {"subscription": {"id": "sub_1", "object": "subscription"}}}
    assert on_invoice_payment_failed(view(parent=parent))[0].payload["subscription"] == "sub_1"
    assert on_invoice_payment_failed(view(parent=None))[0].payload["subscription"] is None
    assert on_invoice_payment_failed(view(attempt_count=0))[0].payload["attempt_count"] == 1


def test_the_end_of_an_invoice_settles_its_retries_once_per_way_of_ending() -> None:
    [paid] = on_invoice_paid(view("invoice.paid"))
    [voided] = on_invoice_closed(view("invoice.voided"))
    assert (paid.key, paid.payload) == ("settle_retries:in_1:invoice.paid", {"invoice": "in_1", "is_paid": True})
    assert (voided.key, voided.payload) == (
        "settle_retries:in_1:invoice.voided",
        {"invoice": "in_1", "is_paid": False},
    )


@pytest.mark.parametrize(
    ("failure", "collector", "status", "reason"),
    [
        ({}, "stripe", "open", "Stripe collects"),
        ({"next_payment_attempt": 17}, "nself", "open", "two collectors never chase one invoice"),
        ({"billing_reason": "subscription_create"}, "nself", "open", "within 23 hours"),
        ({"collection_method": "send_invoice"}, "nself", "open", "the customer's to pay"),
        ({}, "nself", "paid", "paid already"),
        ({}, "nself", "void", "void already"),
    ],
)
def test_what_is_not_ours_to_chase_is_left_alone_with_a_reason(
    failure: dict[str, Any], collector: str, status: str, reason: str
) -> None:
    assert reason in str(check_ours_to_chase(failure, collector=collector, invoice_status=status))


@pytest.mark.parametrize("status", ["open", None])
def test_an_open_or_unknown_invoice_is_ours(status: str | None) -> None:
    failure = {"next_payment_attempt": None, "billing_reason": "subscription_cycle"}
    assert check_ours_to_chase(failure, collector="nself", invoice_status=status) is None


def changed(object_type: str, data: dict[str, Any], previous: dict[str, Any]) -> EventView:
    key = f"/{object_type}/x_1"
    return EventView(1, "", "evt_1", "x", object_type, "x_1", key, "cus_1", CREATED, {"id": "x_1", **data}, previous)


def test_a_new_default_payment_method_hastens_the_customers_retries_once() -> None:
    after = {"invoice_settings": {"default_payment_method": "pm_2"}}
    before: dict[str, Any] = {"invoice_settings": {"default_payment_method": None}}
    [draft] = on_customer_updated(changed("customer", after, before))
    assert (draft.key, draft.kind, draft.customer_id) == (f"new_payment_method:x_1:{AT}", "dunning.resume", "x_1")
    assert draft.payload == {"subscription": None, "changed_at": AT}
    [of_one] = on_subscription_updated(
        changed("subscription", {"default_payment_method": "pm_2"}, {"default_payment_method": "pm_1"})
    )
    assert (of_one.customer_id, of_one.payload) == ("cus_1", {"subscription": "x_1", "changed_at": AT})


@pytest.mark.parametrize(
    ("data", "previous"),
    [
        ({"invoice_settings": {"default_payment_method": "pm_1"}, "name": "b"}, {"name": "a"}),
        ({"invoice_settings": {"default_payment_method": "pm_1"}}, {"invoice_settings": {"footer": None}}),
        ({"invoice_settings": {"default_payment_method": None}}, {"invoice_settings": {"default_payment_method": "p"}}),
        ({"default_payment_method": None}, {"default_payment_method": "pm_1"}),
        ({"default_payment_method": "pm_1"}, {"status": "active"}),
        ({}, {"invoice_settings": None}),
    ],
)
def test_other_changes_hasten_nothing(data: dict[str, Any], previous: dict[str, Any]) -> None:
    assert on_customer_updated(changed("customer", data, previous)) == []
    assert on_subscription_updated(changed("subscription", data, previous)) == []
