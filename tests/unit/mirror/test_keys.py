"""Every event finds the object it is about, or says that it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.mirror.keys import UPCOMING_INVOICE, ObjectRef, account_of, customer_of, key_of, key_of_object


def event(snapshot: Any, event_type: str = "thing.updated", **more: Any) -> dict[str, Any]:
    return {"object": "event", "type": event_type, "data": {"object": snapshot}, **more}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
known_names = st.sampled_from(
    ["object", "id", "customer", "account", "parent", "subscription_details", "subscription", "type", "data"]
)
snapshots = st.dictionaries(
    known_names, json_values | st.dictionaries(known_names, json_values, max_size=4), max_size=6
)


@pytest.mark.parametrize(
    ("snapshot", "object_type", "object_id", "customer_id"),
    [
        ({"object": "charge", "id": "ch_1", "customer": "cus_1"}, "charge", "ch_1", "cus_1"),
        ({"object": "charge", "id": "ch_1", "customer": {"id": "cus_1"}}, "charge", "ch_1", "cus_1"),
        ({"object": "charge", "id": "ch_1", "customer": None}, "charge", "ch_1", None),
        ({"object": "customer", "id": "cus_1"}, "customer", "cus_1", "cus_1"),
        ({"object": "cash_balance", "customer": "cus_1"}, "cash_balance", "cus_1", "cus_1"),
        (
            {"object": "entitlements.active_entitlement_summary", "customer": "cus_1"},
            "entitlements.active_entitlement_summary",
            "cus_1",
            "cus_1",
        ),
        ({"object": "balance", "available": []}, "balance", "balance", None),
        ({"object": "tax.settings"}, "tax.settings", "tax.settings", None),
        ({"object": "capability", "id": "transfers", "account": "acct_9"}, "capability", "acct_9:transfers", None),
        (
            {"object": "capability", "id": "transfers", "account": {"id": "acct_9"}},
            "capability",
            "acct_9:transfers",
            None,
        ),
    ],
)
def test_the_key_of_a_snapshot(
    snapshot: dict[str, Any], object_type: str, object_id: str, customer_id: str | None
) -> None:
    found = key_of(event(snapshot))
    assert found == ObjectRef("", object_type, object_id, customer_id)
    assert found.object_key == f"/{object_type}/{object_id}"
    assert key_of_object(snapshot) == found


def test_a_connected_account_is_part_of_the_key() -> None:
    snapshot = {"object": "customer", "id": "cus_1"}
    ours, theirs = key_of(event(snapshot)), key_of(event(snapshot, account="acct_1"))
    assert ours is not None
    assert theirs is not None
    assert (ours.object_key, theirs.object_key) == ("/customer/cus_1", "acct_1/customer/cus_1")


def test_capabilities_of_one_name_belong_to_their_accounts() -> None:
    found = key_of(event({"object": "capability", "id": "card_payments"}, account="acct_1"))
    assert found == ObjectRef("acct_1", "capability", "acct_1:card_payments", None)


@pytest.mark.parametrize(
    ("invoice", "subject"),
    [
        ({"subscription": "sub_1", "customer": "cus_1"}, "sub_1"),
        ({"parent": {"subscription_details": {"subscription": "sub_1"}}, "customer": "cus_1"}, "sub_1"),
        ({"parent": {"subscription_details": {"subscription": {"id": "sub_1"}}}, "customer": "cus_1"}, "sub_1"),
        ({"parent": None, "customer": "cus_1"}, "cus_1"),
        ({"id": "upcoming_in_1", "subscription": "sub_1", "customer": "cus_1"}, "sub_1"),
    ],
)
def test_an_upcoming_invoice_is_a_fact_about_its_subscription(invoice: dict[str, Any], subject: str) -> None:
    found = key_of(event({"object": "invoice", **invoice}, "invoice.upcoming"))
    assert found == ObjectRef("", UPCOMING_INVOICE, subject, "cus_1")


def test_an_invoice_without_id_never_enters_the_invoice_mirror() -> None:
    assert key_of(event({"object": "invoice", "customer": "cus_1"}, "invoice.created")) == ObjectRef(
        "", UPCOMING_INVOICE, "cus_1", "cus_1"
    )
    assert key_of(event({"object": "invoice"}, "invoice.upcoming")) is None


def test_a_thin_event_is_keyed_by_its_related_object() -> None:
    thin = {
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
        "context": "org_1/acct_2",
    }
    assert key_of(thin) == ObjectRef("acct_2", "billing.meter", "mtr_1", None)
    assert key_of({**thin, "related_object": None}) is None


@pytest.mark.parametrize(
    ("source", "account"),
    [
        ({}, ""),
        ({"account": "acct_1"}, "acct_1"),
        ({"account": 7}, ""),
        ({"context": "acct_2"}, "acct_2"),
        ({"context": "org_1"}, ""),
        ({"context": "org_1/acct_2"}, "acct_2"),
    ],
)
def test_the_account_of_an_event(source: dict[str, Any], account: str) -> None:
    assert account_of(source) == account


@given(body=st.dictionaries(known_names, snapshots | json_values, max_size=5))
def test_keys_are_total(body: dict[str, Any]) -> None:
    for found in (key_of(body), key_of(event(body)), key_of(event(body, "invoice.upcoming")), key_of_object(body)):
        assert found is None or (found.object_type and found.object_id)
    assert customer_of(body) is None or isinstance(customer_of(body), str)
