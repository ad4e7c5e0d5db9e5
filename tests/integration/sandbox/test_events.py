"""Events tell every change, each with what it replaced."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import stripe

from tests.integration.sandbox.process import Sandbox

LAST = {"customer.subscription.deleted", "payment_method.attached"}
"""Stripe gives these no previous_attributes although something changed."""
CHAINED = {"customer", "subscription", "invoice", "product", "price", "charge", "refund", "dispute", "coupon"}
"""Kinds that have an update event; a payment intent has none."""


def undo(after: Any, previous: Any) -> Any:
    """Go back over one update: hashes key by key, arrays whole."""
    if isinstance(previous, dict) and isinstance(after, dict):
        return {**after, **{key: undo(after.get(key), value) for key, value in previous.items()}}
    return previous


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def year_of_a_shop(sandbox: Sandbox) -> None:
    small, large = sandbox.price(1000), sandbox.price(3000)
    coupon = sandbox.v1.coupons.create({"percent_off": 10, "duration": "forever"})
    payers = [sandbox.payer(), sandbox.payer("pm_card_chargeCustomerFail"), sandbox.payer("pm_card_createDispute")]
    subscriptions = [
        sandbox.v1.subscriptions.create(
            {
                "customer": payer.id,
                "items": [{"price": small.id}],
                "metadata": {"seat": "1"},
                "trial_period_days": 5,
                "discounts": [{"coupon": coupon.id}],
            }
        )
        for payer in payers
    ]
    sandbox.advance(days=40)
    first = subscriptions[0]
    item = first["items"].data[0].id
    sandbox.v1.subscriptions.update(first.id, {"items": [{"id": item, "price": large.id}], "metadata": {"seat": ""}})
    sandbox.v1.customers.update(payers[0].id, {"metadata": {"a": "1"}, "address": {"city": "Bern"}, "balance": -500})
    sandbox.v1.customers.update(payers[0].id, {"metadata": {"a": "2", "b": "3"}, "address": {"city": "Basel"}})
    sandbox.v1.customers.update(payers[0].id, {"metadata": "", "address": ""})
    sandbox.v1.products.update(small.product, {"name": "Renamed", "metadata": {"k": "v"}})
    sandbox.v1.prices.update(small.id, {"nickname": "cheap"})
    open_invoice = sandbox.v1.invoices.list({"status": "open"}).data[0]
    with pytest.raises(stripe.CardError):
        sandbox.v1.invoices.pay(open_invoice.id)
    sandbox.v1.invoices.mark_uncollectible(open_invoice.id)
    charge = sandbox.v1.charges.list({"customer": payers[0].id}).data[0]
    sandbox.v1.refunds.create({"charge": charge.id, "amount": 100})
    sandbox.v1.refunds.create({"charge": charge.id})
    dispute = sandbox.v1.disputes.list().data[0]
    sandbox.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    sandbox.v1.subscriptions.update(first.id, {"cancel_at_period_end": True})
    sandbox.v1.subscriptions.cancel(subscriptions[1].id)
    sandbox.advance(days=60)
    sandbox.v1.customers.delete(payers[2].id)


def test_previous_attributes_lead_back_to_every_earlier_snapshot(fresh: Sandbox) -> None:
    year_of_a_shop(fresh)
    by_object: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in fresh.events():
        snapshot = event["data"]["object"]
        if snapshot["object"] in CHAINED:
            by_object.setdefault((snapshot["object"], snapshot["id"]), []).append(event)
    links = 0
    for chain in by_object.values():
        for earlier, later in pairwise(chain):
            if later["type"] in LAST:
                continue
            previous = later["data"].get("previous_attributes", {})
            rebuilt = undo(later["data"]["object"], previous)
            assert without_nulls(rebuilt) == without_nulls(earlier["data"]["object"]), later["type"]
            links += 1
    assert {kind for kind, _ in by_object} == CHAINED
    assert links > 80


def test_the_newest_event_shows_the_object_as_it_is(fresh: Sandbox) -> None:
    year_of_a_shop(fresh)
    newest: dict[str, dict[str, Any]] = {}
    for event in fresh.events():
        newest[event["data"]["object"]["id"]] = event["data"]["object"]
    for kind, path in (
        ("subscription", "subscriptions?status=all&"),
        ("invoice", "invoices?"),
        ("customer", "customers?"),
        ("charge", "charges?"),
        ("price", "prices?"),
        ("product", "products?"),
        ("refund", "refunds?"),
        ("dispute", "disputes?"),
        ("payment_intent", "payment_intents?"),
    ):
        listed = fresh.raw("GET", f"/v1/{path}limit=100").json()
        assert listed["has_more"] is False
        assert listed["data"], kind
        for document in listed["data"]:
            assert newest[document["id"]] == document, kind


def test_an_update_that_changes_nothing_is_no_event(sandbox: Sandbox) -> None:
    customer = sandbox.v1.customers.create({"name": "Same", "metadata": {"a": "1"}})
    sandbox.v1.customers.update(customer.id, {"name": "Same", "metadata": {"a": "1", "gone": ""}})
    assert sandbox.types_of(customer.id) == ["customer.created"]


def test_previous_attributes_have_stripes_form(sandbox: Sandbox) -> None:
    customer = sandbox.v1.customers.create({"metadata": {"old": "1", "same": "x"}, "preferred_locales": ["de", "fr"]})
    sandbox.v1.customers.update(
        customer.id, {"metadata": {"old": "", "new": "2"}, "preferred_locales": ["en"], "name": "Named"}
    )
    assert sandbox.events_of(customer.id)[-1]["data"]["previous_attributes"] == {
        "metadata": {"old": "1", "new": None},
        "preferred_locales": ["de", "fr"],
        "name": None,
    }


def test_events_are_filtered_by_type_and_time(fresh: Sandbox) -> None:
    fresh.v1.customers.create({})
    fresh.v1.products.create({"name": "A"})
    fresh.advance(days=5)
    middle = fresh.now()
    fresh.v1.customers.create({})
    assert [event["type"] for event in fresh.events(type="customer.created")] == ["customer.created"] * 2
    assert [event["type"] for event in fresh.events(type="customer.*")] == ["customer.created"] * 2
    both = fresh.v1.events.list({"types": ["customer.created", "product.created"], "created": {"gte": middle}})
    assert [event.type for event in both.data] == ["customer.created"]
    assert fresh.v1.events.list({"created": {"lt": middle - 86_400}}).data[0].type == "product.created"
    one = fresh.v1.events.retrieve(both.data[0].id)
    assert (one.id, one.api_version, one.livemode) == (both.data[0].id, stripe.api_version, False)
    with pytest.raises(stripe.InvalidRequestError, match="at most 20"):
        fresh.v1.events.list({"types": [f"a.{number}" for number in range(21)]})


def test_every_event_of_a_year_lies_in_order(fresh: Sandbox) -> None:
    year_of_a_shop(fresh)
    created = [event["created"] for event in fresh.events()]
    assert created == sorted(created)
    assert len(created) > 100
