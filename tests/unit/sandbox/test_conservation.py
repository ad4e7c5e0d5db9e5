"""Whatever happens to a customer: money adds up, previews come true, and events lead from one state to the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sandbox.desk import FROZEN, Desk, Json, RefusedError, opened

DAY = 86_400
WITHOUT_DIFFERENCE = {"customer.subscription.deleted", "payment_method.attached"}
"""Stripe gives these no previous_attributes although something changed."""
CHAINED = {"customer", "subscription", "invoice"}
COUPONS: list[Json] = [
    {"percent_off": 33.3, "duration": "forever"},
    {"percent_off": 12.5, "duration": "once"},
    {"amount_off": 777, "currency": "usd", "duration": "repeating", "duration_in_months": 2},
]


@dataclass
class Shop:
    """What the steps choose from."""

    desk: Desk
    customer: str
    clock: str
    prices: list[str]
    coupons: list[str]
    rates: list[str]
    now: int = FROZEN
    subscriptions: list[str] = field(default_factory=list)

    def discounts(self, choice: int) -> list[Json]:
        return [{"coupon": self.coupons[choice % len(self.coupons)]}] if choice % 4 else []


def shop(desk: Desk) -> Shop:
    clock = desk.clock()
    prices = [desk.price(999), desk.price(3001, name="Large"), desk.price(12_345, name="Year", interval="year")]
    coupons = [desk.post("coupons", **coupon)["id"] for coupon in COUPONS]
    rates = [
        desk.post("tax_rates", display_name="VAT", inclusive=inclusive, percentage=percentage)["id"]
        for inclusive, percentage in ((True, 7.7), (False, 19))
    ]
    return Shop(desk, desk.payer(test_clock=clock), clock, prices, coupons, rates)


def subscribe(at: Shop, choice: int) -> None:
    item: Json = {"price": at.prices[choice % 3], "quantity": choice % 5 + 1}
    if choice % 3 == 1:
        item["tax_rates"] = [at.rates[choice % 2]]
    trial = {"trial_period_days": choice % 9} if choice % 7 == 0 and choice % 9 else {}
    tax = {"default_tax_rates": [at.rates[choice % 2]]} if choice % 2 else {}
    made = at.desk.post(
        "subscriptions", customer=at.customer, items=[item], discounts=at.discounts(choice), **trial, **tax
    )
    at.subscriptions.append(made["id"])


def change(at: Shop, choice: int) -> None:
    """Change an item at once; what the preview showed is what is charged."""
    subscription = at.desk.get(f"subscriptions/{at.subscriptions[choice % len(at.subscriptions)]}")
    item = subscription["items"]["data"][0]["id"]
    wanted = {"items": [{"id": item, "price": at.prices[choice % 3], "quantity": choice % 4 + 1}]}
    given_change = wanted | {"proration_behavior": "always_invoice", "proration_date": at.now}
    before = len(at.desk.invoices(subscription["id"]))
    shown = at.desk.post("invoices/create_preview", subscription=subscription["id"], subscription_details=given_change)
    at.desk.post(f"subscriptions/{subscription['id']}", **given_change)
    made = at.desk.invoices(subscription["id"])[before:]
    if made:
        assert (charged(shown), shown["amount_due"]) == (charged(made[0]), made[0]["amount_due"])


def charged(invoice: Json) -> Any:
    lines = [(one["description"], one["amount"], one["period"], taken(one)) for one in invoice["lines"]["data"]]
    return lines, *(invoice[name] for name in ("subtotal", "total", "total_excluding_tax"))


def wait(at: Shop, choice: int) -> None:
    at.now += (choice % 33 + 1) * DAY
    at.desk.advance(at.clock, at.now)


def renew(at: Shop, choice: int) -> None:
    """Let a period end; the renewal is what the preview showed, but for the credit that other drafts use up before."""
    subscription = at.desk.get(f"subscriptions/{at.subscriptions[choice % len(at.subscriptions)]}")
    shown = at.desk.post("invoices/create_preview", subscription=subscription["id"])
    end = subscription["items"]["data"][0]["current_period_end"]
    if end - at.now > 40 * DAY or len(at.subscriptions) > 1:
        return
    at.now = end + 1
    at.desk.advance(at.clock, at.now)
    latest = at.desk.invoices(subscription["id"])[-1]
    assert charged(shown) == charged(latest)


def sell(at: Shop, choice: int) -> None:
    amount = (choice % 50 + 1) * 37
    at.desk.post("invoiceitems", customer=at.customer, amount=amount, currency="usd", discounts=at.discounts(choice))
    given_terms: Json = {"discounts": at.discounts(choice // 2)} if choice % 2 else {}
    invoice = at.desk.post(
        "invoices",
        customer=at.customer,
        pending_invoice_items_behavior="include",
        default_tax_rates=[at.rates[choice % 2]],
        **given_terms,
    )
    at.desk.post(f"invoices/{invoice['id']}/pay")


def end(at: Shop, choice: int) -> None:
    if choice % 3 == 0:
        found = at.subscriptions[choice % len(at.subscriptions)]
        at.desk.delete(f"subscriptions/{found}", prorate=choice % 2 == 0, invoice_now=True)
    else:
        found = at.subscriptions[choice % len(at.subscriptions)]
        at.desk.post(f"subscriptions/{found}", cancel_at_period_end=choice % 2 == 0)


STEPS = (subscribe, change, wait, renew, sell, end)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=st.integers(0, 10_000),
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 10_000)), min_size=3, max_size=8),
)
def test_money_adds_up_and_events_tell_all_of_it(first: int, steps: list[tuple[Any, int]]) -> None:
    with opened() as desk:
        at = shop(desk)
        subscribe(at, first)
        for step, choice in steps:
            # Steps that do not fit the moment, such as a fourth subscription, are refused: that leaves all as it was.
            with suppress(RefusedError):
                step(at, choice)
        invoices = desk.listed("invoices", customer=at.customer)
        assert invoices
        for invoice in invoices:
            check_invoice(invoice)
        check_balance(desk, at.customer, invoices)
        check_events(desk)


def taken(line: Json) -> int:
    return sum(off["amount"] for off in line["discount_amounts"])


def check_invoice(invoice: Json) -> None:
    lines = invoice["lines"]["data"]
    discounts = sum(off["amount"] for off in invoice["total_discount_amounts"])
    taxes = invoice["total_taxes"]
    exclusive = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    own = sum(
        off["amount"] for line in lines for off in line["discount_amounts"] if off["discount"] in line["discounts"]
    )
    assert invoice["subtotal"] == sum(line["amount"] for line in lines) - own
    assert discounts == sum(taken(line) for line in lines)
    assert sum(tax["amount"] for tax in taxes) == sum(tax["amount"] for line in lines for tax in line["taxes"])
    assert invoice["total"] == invoice["subtotal"] + own - discounts + exclusive
    assert invoice["total_excluding_tax"] == invoice["total"] - sum(tax["amount"] for tax in taxes)
    assert all(0 <= taken(line) <= max(line["amount"], 0) for line in lines)
    assert invoice["amount_due"] == 0 or invoice["amount_due"] >= 50
    assert invoice["amount_due"] == invoice["amount_paid"] + invoice["amount_remaining"]
    if invoice["status"] == "paid":
        assert invoice["amount_remaining"] == 0


def check_balance(desk: Desk, customer: str, invoices: list[Json]) -> None:
    # What invoices credited and have not used is what the customer still has; money came for all that is paid.
    final = [invoice for invoice in invoices if invoice["status"] != "draft"]
    credited = sum(invoice["total"] - invoice["amount_due"] for invoice in final)
    assert desk.get(f"customers/{customer}")["balance"] == credited
    moved = desk.listed(f"customers/{customer}/balance_transactions")
    assert sum(entry["amount"] for entry in moved) == credited
    assert [entry["ending_balance"] for entry in moved] == list(accumulate(entry["amount"] for entry in moved))
    received = sum(charge["amount"] for charge in desk.listed("charges", customer=customer) if charge["paid"])
    assert received == sum(invoice["amount_paid"] for invoice in final)


def check_events(desk: Desk) -> None:
    chains: dict[str, list[Json]] = {}
    for event in desk.listed("events"):
        if event["data"]["object"]["object"] in CHAINED:
            chains.setdefault(event["data"]["object"]["id"], []).append(event)
    for chain in chains.values():
        for earlier, later in pairwise(chain):
            if later["type"] not in WITHOUT_DIFFERENCE:
                rebuilt = undone(later["data"]["object"], later["data"].get("previous_attributes", {}))
                assert dict(present(rebuilt)) == dict(present(earlier["data"]["object"])), later["type"]
        newest = chain[-1]["data"]["object"]
        path = {"customer": "customers", "subscription": "subscriptions", "invoice": "invoices"}[newest["object"]]
        assert desk.get(f"{path}/{newest['id']}") == newest


def undone(after: Any, previous: Any) -> Any:
    if isinstance(previous, dict) and isinstance(after, dict):
        return {**after, **{key: undone(after.get(key), value) for key, value in previous.items()}}
    return previous


def present(document: Json) -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if value is not None:
            yield key, dict(present(value)) if isinstance(value, dict) else value
