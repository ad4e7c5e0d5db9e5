from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from billing_worker.domains.payments.handlers import (
    on_charge_refunded,
    on_charge_succeeded,
    on_dispute_funds_reinstated,
    on_dispute_funds_withdrawn,
    on_refund,
)
from billing_worker.kernel.events import EventView

CREATED = datetime(2026, 3, 1, tzinfo=UTC)


def view(obj: dict[str, Any], *, kind: str = "x") -> EventView:
    key = f"/{obj.get('object', 'charge')}/{obj['id']}"
    return EventView(1, "", "evt_1", kind, str(obj.get("object")), obj["id"], key, obj.get("customer"), CREATED, obj)


def charge(**fields: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 900,
        "amount_captured": 900,
        "captured": True,
        "created": 100,
        "currency": "usd",
        "customer": "cus_1",
        "payment_intent": "pi_1",
        "livemode": False,
        **fields,
    }


def refund(**fields: Any) -> dict[str, Any]:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 300,
        "created": 200,
        "currency": "usd",
        "charge": "ch_1",
        "payment_intent": {"id": "pi_1", "object": "payment_intent"},
        "status": "succeeded",
        **fields,
    }


def test_a_captured_charge_is_one_movement_of_what_was_captured() -> None:
    [draft] = on_charge_succeeded(view(charge(amount_captured=700)))
    assert (draft.key, draft.kind, draft.customer_id) == (
        "transaction:charge:ch_1",
        "payments.record_transaction",
        "cus_1",
    )
    assert draft.payload == {
        "kind": "charge",
        "stripe_id": "ch_1",
        "charge_id": "ch_1",
        "payment_intent_id": "pi_1",
        "amount_minor": 700,
        "currency": "usd",
        "livemode": False,
        "occurred_at": 100,
    }


def test_an_authorisation_moves_nothing_and_an_old_shape_counts_its_amount() -> None:
    assert on_charge_succeeded(view(charge(captured=False, amount_captured=0))) == []
    old = charge()
    del old["amount_captured"]
    assert on_charge_succeeded(view(old))[0].payload["amount_minor"] == 900


@pytest.mark.parametrize(
    ("status", "keys"),
    [
        ("succeeded", ["transaction:refund:re_1"]),
        ("pending", ["transaction:refund:re_1"]),
        ("failed", ["transaction:refund:re_1", "transaction:refund_reversal:re_1"]),
        ("canceled", ["transaction:refund:re_1", "transaction:refund_reversal:re_1"]),
        ("requires_action", []),
    ],
)
def test_a_refund_is_keyed_by_its_id_whatever_event_tells_of_it(status: str, keys: list[str]) -> None:
    by_itself = on_refund(view(refund(status=status)))
    inside = on_charge_refunded(view(charge(refunds={"data": [refund(status=status)]})))
    assert [draft.key for draft in by_itself] == keys
    assert [(draft.key, draft.payload) for draft in inside] == [(draft.key, draft.payload) for draft in by_itself]


def test_a_charge_refunded_without_list_leaves_it_to_the_refund_events() -> None:
    assert on_charge_refunded(view(charge(amount_refunded=300))) == []


def test_disputes_move_money_when_funds_move() -> None:
    dispute = {"id": "dp_1", "object": "dispute", "amount": 900, "currency": "usd", "charge": "ch_1", "created": 300}
    [taken] = on_dispute_funds_withdrawn(view(dispute))
    [returned] = on_dispute_funds_reinstated(view(dispute))
    assert (taken.key, taken.payload["occurred_at"]) == ("transaction:dispute:dp_1", 300)
    assert returned.key == "transaction:dispute_reversal:dp_1"
    assert returned.payload["occurred_at"] == int(CREATED.timestamp())
