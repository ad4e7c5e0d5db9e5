"""Every object, at every depth: no key too many or too few, each of the type the pinned SDK gives it."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from billing_worker.sandbox.api import TABLES
from tests.unit.sandbox.desk import FROZEN, Desk, Json, opened

DAY = 86_400
KINDS: dict[str, type[stripe.StripeObject]] = {
    "balance": stripe.Balance,
    "balance_transaction": stripe.BalanceTransaction,
    "billing.meter": stripe.billing.Meter,
    "billing.meter_event": stripe.billing.MeterEvent,
    "billing.meter_event_adjustment": stripe.billing.MeterEventAdjustment,
    "billing.meter_event_summary": stripe.billing.MeterEventSummary,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "coupon": stripe.Coupon,
    "credit_note": stripe.CreditNote,
    "credit_note_line_item": stripe.CreditNoteLineItem,
    "customer": stripe.Customer,
    "customer_balance_transaction": stripe.CustomerBalanceTransaction,
    "discount": stripe.Discount,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "invoiceitem": stripe.InvoiceItem,
    "item": stripe.LineItem,
    "line_item": stripe.InvoiceLineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_link": stripe.PaymentLink,
    "payment_method": stripe.PaymentMethod,
    "plan": stripe.Plan,
    "price": stripe.Price,
    "product": stripe.Product,
    "promotion_code": stripe.PromotionCode,
    "quote": stripe.Quote,
    "refund": stripe.Refund,
    "setup_intent": stripe.SetupIntent,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "subscription_schedule": stripe.SubscriptionSchedule,
    "tax_id": stripe.TaxId,
    "tax_rate": stripe.TaxRate,
    "test_helpers.test_clock": stripe.test_helpers.TestClock,
}
UNDOCUMENTED = {
    "charge": {"destination", "dispute", "order"},
    "product": {"attributes"},
    "subscription": {"plan", "quantity"},
}
"""Keys that recorded answers of today's versions have and no reference names."""
LISTED = {
    entry.path.removeprefix("/v1/")
    for table in TABLES
    for entry in table
    if entry.method == "GET" and entry.path.startswith("/v1/") and "{" not in entry.path
} - {"subscription_items"}
"""Collections that can be listed without naming what they belong to."""
NAMES = {bool: {"bool"}, int: {"int", "float"}, float: {"float"}, str: {"str", "Decimal"}}


@pytest.fixture(scope="module")
def answers() -> list[Json]:
    with opened() as desk:
        return [*catalogue(desk), *billing(desk), *offers(desk)]


def catalogue(desk: Desk) -> Iterator[Json]:
    meter = desk.post(
        "billing/meters", display_name="Calls", event_name="calls", default_aggregation={"formula": "sum"}
    )
    yield meter
    user = desk.payer()
    usage = {"stripe_customer_id": user, "value": 5}
    yield desk.post("billing/meter_events", event_name="calls", payload=usage, identifier="first")
    yield desk.post(
        "billing/meter_event_adjustments", event_name="calls", type="cancel", cancel={"identifier": "first"}
    )
    start = FROZEN - FROZEN % 60
    yield desk.get(
        f"billing/meters/{meter['id']}/event_summaries", customer=user, start_time=start, end_time=start + 3600
    )
    tiers = [{"up_to": 10, "unit_amount": 100, "flat_amount": 50}, {"up_to": "inf", "unit_amount_decimal": "0.5"}]
    metered = {"interval": "month", "usage_type": "metered", "meter": meter["id"]}
    yield desk.post(
        "prices",
        currency="usd",
        billing_scheme="tiered",
        tiers_mode="graduated",
        tiers=tiers,
        recurring=metered,
        product_data={"name": "Calls"},
        expand=["tiers"],
    )
    price = desk.price(1000, transform_quantity={"divide_by": 5, "round": "up"})
    yield desk.get(f"prices/{price}")
    yield desk.get(f"plans/{price}")
    coupon = desk.post("coupons", percent_off=10.5, duration="repeating", duration_in_months=3, name="Spring")
    yield coupon
    limits = {"minimum_amount": 100, "minimum_amount_currency": "usd"}
    yield desk.post("promotion_codes", promotion={"type": "coupon", "coupon": coupon["id"]}, restrictions=limits)
    yield desk.post("tax_rates", display_name="VAT", inclusive=False, percentage=19)
    yield desk.post(f"customers/{user}/tax_ids", type="eu_vat", value="DE123456789")


def billing(desk: Desk) -> Iterator[Json]:
    clock = desk.clock()
    customer = desk.payer(test_clock=clock, address={"city": "Bern", "country": "CH"})
    small, large, once = desk.price(1000), desk.price(3000, name="Large"), desk.price(500, interval=None)
    rate = desk.listed("tax_rates")[0]["id"]
    code = desk.listed("promotion_codes")[0]["id"]
    subscription = desk.post(
        "subscriptions",
        customer=customer,
        items=[{"price": small, "quantity": 7, "tax_rates": [rate]}],
        discounts=[{"promotion_code": code}],
        add_invoice_items=[{"price": once}],
        default_tax_rates=[rate],
        expand=["latest_invoice.payments", "latest_invoice.confirmation_secret", "discounts", "customer"],
    )
    yield subscription
    item = subscription["items"]["data"][0]["id"]
    yield desk.get(f"subscription_items/{item}")
    change = {"items": [{"id": item, "price": large}]}
    yield desk.post("invoices/create_preview", subscription=subscription["id"], subscription_details=change)
    desk.advance(clock, FROZEN + 10 * DAY)
    yield desk.post(f"subscriptions/{subscription['id']}", **change, pause_collection={"behavior": "void"})
    yield desk.get("invoiceitems", customer=customer)
    yield desk.post(f"subscriptions/{subscription['id']}", pause_collection="", cancel_at_period_end=True)
    desk.post("invoiceitems", customer=customer, amount=700, currency="usd")
    given = {"pending_invoice_items_behavior": "include", "collection_method": "send_invoice", "days_until_due": 3}
    invoice = desk.post("invoices", customer=customer, **given)
    yield desk.post(f"invoices/{invoice['id']}/send")
    yield desk.post(f"invoices/{invoice['id']}/pay", expand=["payments.data.payment.payment_intent"])
    line = {"type": "invoice_line_item", "invoice_line_item": invoice["lines"]["data"][0]["id"], "quantity": 1}
    yield desk.post("credit_notes", invoice=invoice["id"], lines=[line], credit_amount=700)
    for card in ("pm_card_chargeCustomerFail", "pm_card_createDispute"):
        yield desk.post("subscriptions", customer=desk.payer(card), items=[{"price": large}], expand=["latest_invoice"])
    charge = desk.listed("charges", customer=customer)[0]["id"]
    yield desk.post("refunds", charge=charge, amount=10)
    yield desk.get(f"charges/{charge}", expand=["refunds", "balance_transaction"])
    for path in ("invoice_payments", "disputes", "balance_transactions", "events", "test_helpers/test_clocks"):
        yield desk.get(path, limit=100)
    yield desk.get(f"customers/{customer}/balance_transactions")
    yield desk.get("balance")


def offers(desk: Desk) -> Iterator[Json]:
    customer, price, once = desk.payer(), desk.price(3000), desk.price(500, interval=None)
    items, discounts = [{"price": price, "quantity": 1}], [{"coupon": desk.listed("coupons")[0]["id"]}]
    rate = desk.listed("tax_rates")[0]["id"]
    yield desk.post("quotes", customer=customer, line_items=items, discounts=discounts, default_tax_rates=[rate])
    success = {"success_url": "https://example.com"}
    yield desk.post(
        "checkout/sessions",
        mode="subscription",
        line_items=items,
        discounts=discounts,
        expand=["line_items"],
        **success,
    )
    yield desk.post("checkout/sessions", mode="setup", currency="usd", expand=["setup_intent"], **success)
    yield desk.post("payment_links", line_items=items, expand=["line_items"])
    phase = {"items": items, "add_invoice_items": [{"price": once}], "discounts": discounts}
    yield desk.post(
        "subscription_schedules", customer=customer, start_date="now", phases=[phase], expand=["subscription"]
    )
    held = {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    yield desk.post("payment_intents", **held, capture_method="manual", expand=["payment_method"])


def objects(value: Any) -> Iterator[Json]:
    """Every API object in an answer, at every depth; stubs of deleted ones are left out."""
    if isinstance(value, dict):
        if isinstance(value.get("object"), str) and not value.get("deleted"):
            yield value
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


def alternatives(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return [found for one in typing.get_args(annotation) for found in alternatives(one)]
    return [annotation]


def faults(value: Any, annotation: Any, path: str) -> Iterator[str]:
    """What an answer has that its type does not allow; referred objects are looked at on their own."""
    forms = alternatives(annotation)
    is_optional = type(None) in forms
    classes = [form for form in forms if inspect.isclass(form) and issubclass(form, stripe.StripeObject)]
    lists = [form for form in forms if typing.get_origin(form) is list]
    if value is None:
        if not is_optional:
            yield f"{path} is null"
    elif isinstance(value, dict):
        if len(classes) == 1:
            yield from key_faults(value, classes[0], path)
        elif all(form in NAMES or form is type(None) for form in forms):
            yield f"{path} is a hash"
    elif isinstance(value, list):
        if not lists:
            yield f"{path} is an array"
        for inner in value:
            yield from faults(inner, typing.get_args(lists[0])[0], f"{path}[]")
    elif not NAMES[type(value)] & {name for form in forms for name in scalar_names(form)}:
        yield f"{path} is {value!r}"


def scalar_names(form: Any) -> set[str]:
    if typing.get_origin(form) is typing.Literal:
        return {type(one).__name__ for one in typing.get_args(form)}
    if isinstance(form, typing.ForwardRef | str):
        return {"str"}
    return {getattr(form, "__name__", "")}


def key_faults(value: Json, kind: type, path: str) -> Iterator[str]:
    known = {
        name: annotation
        for name, annotation in inspect.get_annotations(kind).items()
        if not name.startswith("_") and not name.isupper() and name != "deleted"
    }
    unknown = value.keys() - known.keys() - UNDOCUMENTED.get(str(value.get("object")), set())
    yield from (f"{path}.{name} is unknown" for name in unknown)
    for name, annotation in known.items():
        if name in value:
            yield from faults(value[name], annotation, f"{path}.{name}")
        elif type(None) not in alternatives(annotation):
            yield f"{path}.{name} is missing"


def test_every_kind_is_looked_at(answers: list[Json]) -> None:
    assert KINDS.keys() - {found["object"] for found in objects(answers)} == set()


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_one_of_the_pinned_version_and_of_its_type(answers: list[Json], kind: str) -> None:
    found = [one for one in objects(answers) if one["object"] == kind]
    assert sorted({fault for one in found for fault in key_faults(one, KINDS[kind], kind)}) == []


def test_what_a_list_shows_is_what_its_address_answers() -> None:
    with opened() as desk:
        for scene in (catalogue, billing, offers):
            assert list(scene(desk))
        seen = 0
        for entry in (entry for table in TABLES for entry in table):
            found = re.fullmatch(r"/v1/([\w/]+)/{\w+}", entry.path)
            if entry.method != "GET" or found is None or found[1] not in LISTED:
                continue
            for shown in desk.get(found[1], limit=3)["data"]:
                assert desk.get(f"{found[1]}/{shown['id']}") == shown
                seen += 1
        assert seen > 40
