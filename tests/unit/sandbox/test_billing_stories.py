"""Subscriptions under a test clock, to the cent: discounts, taxes, tiers, prorations, pending updates, schedules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.sandbox.desk import FROZEN, Desk, Json, opened

DAY = 86_400
MONTH = 31 * DAY
"""From 6 March to 6 April."""


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with opened() as found:
        yield found


def lines_of(invoice: Json) -> list[tuple[str, int, list[int]]]:
    return [
        (line["description"], line["amount"], [off["amount"] for off in line["discount_amounts"]])
        for line in invoice["lines"]["data"]
    ]


def started(desk: Desk, items: list[Json], **fields: Any) -> tuple[Json, str]:
    clock = desk.clock()
    payer = desk.payer(test_clock=clock)
    made = desk.post("subscriptions", customer=payer, items=items, expand=["latest_invoice"], **fields)
    return made, clock


def item_of(subscription: Json, index: int = 0) -> str:
    return str(subscription["items"]["data"][index]["id"])


def test_a_coupon_takes_its_share_of_the_lines_it_applies_to(desk: Desk) -> None:
    gold, other = desk.price(1000, name="Gold"), desk.price(2000, name="Other")
    product = desk.get(f"prices/{gold}")["product"]
    fixed = desk.post("coupons", amount_off=300, currency="usd", duration="forever", applies_to={"products": [product]})
    tenth = desk.post("coupons", percent_off=10, duration="once")
    discounts = [{"coupon": fixed["id"]}, {"coupon": tenth["id"]}]
    subscription, clock = started(desk, [{"price": gold}, {"price": other}], discounts=discounts)
    first = subscription["latest_invoice"]
    assert lines_of(first) == [
        ("1 × Gold (at $10.00 / month)", 1000, [300, 70]),  # noqa: RUF001 - as at Stripe
        ("1 × Other (at $20.00 / month)", 2000, [200]),  # noqa: RUF001 - as at Stripe
    ]
    assert (first["subtotal"], first["total"], first["amount_paid"]) == (3000, 2430, 2430)
    assert [off["amount"] for off in first["total_discount_amounts"]] == [300, 270]
    desk.advance(clock, FROZEN + MONTH + 3601)
    renewed = desk.invoices(subscription["id"])[-1]
    assert (renewed["total"], [off["amount"] for off in renewed["total_discount_amounts"]]) == (2700, [300])
    assert len(desk.get(f"subscriptions/{subscription['id']}")["discounts"]) == 1
    over = desk.listed("events", type="customer.discount.deleted")
    assert [event["data"]["object"]["source"]["coupon"] for event in over] == [tenth["id"]]


def test_rates_of_an_item_take_the_place_of_the_subscriptions(desk: Desk) -> None:
    price, other = desk.price(1000), desk.price(2000)
    included = desk.post("tax_rates", display_name="VAT", inclusive=True, percentage=7)["id"]
    added = desk.post("tax_rates", display_name="Sales tax", inclusive=False, percentage=19)["id"]
    half = desk.post("coupons", percent_off=50, duration="forever")["id"]
    subscription, _ = started(
        desk,
        [{"price": price, "tax_rates": [included]}, {"price": other}],
        default_tax_rates=[added],
        discounts=[{"coupon": half}],
    )
    invoice = subscription["latest_invoice"]
    shown = [(tax["amount"], tax["tax_behavior"], tax["taxable_amount"]) for tax in invoice["total_taxes"]]
    # 500 with 7 % in it are 467 and 33; 1000 with 19 % on top are 1190.
    assert shown == [(33, "inclusive", 467), (190, "exclusive", 1000)]
    assert (invoice["subtotal"], invoice["total"], invoice["total_excluding_tax"]) == (3000, 1690, 1467)
    customer = desk.payer(tax_exempt="reverse")
    free = desk.post(
        "subscriptions",
        customer=customer,
        items=[{"price": price}],
        default_tax_rates=[added],
        expand=["latest_invoice"],
    )
    taxes = free["latest_invoice"]["total_taxes"]
    assert [(tax["amount"], tax["taxability_reason"]) for tax in taxes] == [(0, "reverse_charge")]


def test_usage_is_charged_tier_by_tier(desk: Desk) -> None:
    meter = desk.post(
        "billing/meters", display_name="Calls", event_name="calls", default_aggregation={"formula": "sum"}
    )
    tiers = [
        {"up_to": 10, "unit_amount": 100, "flat_amount": 500},
        {"up_to": 20, "unit_amount_decimal": "12.5"},
        {"up_to": "inf", "unit_amount": 5},
    ]
    price = desk.post(
        "prices",
        currency="usd",
        billing_scheme="tiered",
        tiers_mode="graduated",
        tiers=tiers,
        recurring={"interval": "month", "usage_type": "metered", "meter": meter["id"]},
        product_data={"name": "Calls"},
        expand=["tiers"],
    )
    assert [tier["up_to"] for tier in price["tiers"]] == [10, 20, None]
    subscription, clock = started(desk, [{"price": price["id"]}])
    assert subscription["latest_invoice"] is None
    desk.advance(clock, FROZEN + DAY)
    payload = {"stripe_customer_id": subscription["customer"], "value": 25}
    desk.post("billing/meter_events", event_name="calls", payload=payload, timestamp=FROZEN + DAY)
    desk.advance(clock, FROZEN + MONTH + 3601)
    invoice = desk.invoices(subscription["id"])[-1]
    assert lines_of(invoice) == [
        ("10 × Calls (Tier 1 at $1.00 / month)", 1000, []),  # noqa: RUF001 - as at Stripe
        ("1 × Calls (Tier 1 flat fee at $5.00 / month)", 500, []),  # noqa: RUF001 - as at Stripe
        ("10 × Calls (Tier 2 at $0.125 / month)", 125, []),  # noqa: RUF001 - as at Stripe
        ("5 × Calls (Tier 3 at $0.05 / month)", 25, []),  # noqa: RUF001 - as at Stripe
    ]
    assert (invoice["status"], invoice["amount_paid"]) == ("paid", 1650)


@pytest.mark.parametrize(("mode", "credit"), [("flexible", -500), ("classic", -1000)])
def test_flexible_billing_gives_back_what_was_charged_and_classic_what_is_priced(
    desk: Desk, mode: str, credit: int
) -> None:
    small, large = desk.price(1000, name="Small"), desk.price(2000, name="Large")
    subscription, clock = started(desk, [{"price": small}], billing_mode={"type": mode})
    half = FROZEN + MONTH // 2
    desk.advance(clock, half)
    changed = {"items": [{"id": item_of(subscription), "price": large}], "proration_behavior": "none"}
    desk.post(f"subscriptions/{subscription['id']}", **changed)
    back = {"items": [{"id": item_of(subscription), "price": small}]}
    desk.post(f"subscriptions/{subscription['id']}", **back)
    items = desk.listed("invoiceitems", customer=subscription["customer"])
    assert sorted(item["amount"] for item in items) == [credit, 500]
    assert {item["net_amount"] for item in items} == {credit, 500}
    assert items[0]["description"].endswith(f"after {datetime.fromtimestamp(half, UTC):%d %b %Y}")


def test_a_change_that_is_not_paid_waits_and_is_given_up(desk: Desk) -> None:
    subscription, clock = started(desk, [{"price": desk.price(1000)}])
    path, customer = f"subscriptions/{subscription['id']}", subscription["customer"]
    bad = desk.post("payment_methods/pm_card_chargeCustomerFail/attach", customer=customer)["id"]
    good = desk.post("payment_methods/pm_card_visa/attach", customer=customer)["id"]
    desk.post(f"customers/{customer}", invoice_settings={"default_payment_method": bad})
    desk.advance(clock, FROZEN + DAY)
    wanted = {
        "items": [{"id": item_of(subscription), "quantity": 3}],
        "proration_behavior": "always_invoice",
        "payment_behavior": "pending_if_incomplete",
    }
    waiting = desk.post(path, **wanted, expand=["latest_invoice"])
    assert (waiting["status"], waiting["items"]["data"][0]["quantity"]) == ("active", 1)
    assert waiting["pending_update"]["expires_at"] == FROZEN + DAY + 23 * 3600
    assert waiting["pending_update"]["subscription_items"][0]["quantity"] == 3
    desk.post(f"invoices/{waiting['latest_invoice']['id']}/pay", payment_method=good)
    applied = desk.get(path)
    assert (applied["pending_update"], applied["items"]["data"][0]["quantity"]) == (None, 3)
    wanted["items"] = [{"id": item_of(subscription), "quantity": 9}]
    again = desk.post(path, **wanted)
    desk.advance(clock, FROZEN + 2 * DAY)
    given_up = desk.get(path)
    assert (given_up["pending_update"], given_up["items"]["data"][0]["quantity"]) == (None, 3)
    assert desk.get(f"invoices/{again['latest_invoice']}")["status"] == "void"
    told = [event["type"].rpartition(".")[2] for event in desk.listed("events", type="customer.subscription.*")]
    assert [kind for kind in told if kind.startswith("pending")] == ["pending_update_applied", "pending_update_expired"]
    refused = desk.refusal("POST", path, **wanted, metadata={"a": "b"})
    assert (refused["status"], refused["param"]) == (400, "metadata")


def test_phases_bring_all_they_ask_for(desk: Desk) -> None:
    clock = desk.clock()
    customer = desk.payer(test_clock=clock)
    small, large = desk.price(1000, name="Small"), desk.price(3000, name="Large")
    setup = desk.price(500, name="Setup", interval=None)
    rate = desk.post("tax_rates", display_name="VAT", inclusive=False, percentage=10)["id"]
    half = desk.post("coupons", percent_off=50, duration="forever")["id"]
    month = {"interval": "month", "interval_count": 1}
    schedule = desk.post(
        "subscription_schedules",
        customer=customer,
        start_date="now",
        end_behavior="cancel",
        phases=[
            {"items": [{"price": small}], "duration": month, "add_invoice_items": [{"price": setup}]},
            {
                "items": [{"price": large, "quantity": 2}],
                "duration": month,
                "discounts": [{"coupon": half}],
                "default_tax_rates": [rate],
                "metadata": {"phase": "second"},
                "add_invoice_items": [{"price": setup}],
            },
        ],
    )
    desk.advance(clock, FROZEN + 3601)
    found = desk.invoices(schedule["subscription"])
    assert lines_of(found[0]) == [
        ("Setup", 500, []),
        ("1 × Small (at $10.00 / month)", 1000, []),  # noqa: RUF001 - as at Stripe
    ]
    assert desk.get(f"subscriptions/{schedule['subscription']}")["cancel_at"] == schedule["phases"][1]["end_date"]
    desk.advance(clock, schedule["phases"][0]["end_date"] + 3601)
    second = desk.invoices(schedule["subscription"])[-1]
    assert lines_of(second) == [
        ("Setup", 500, [250]),
        ("2 × Large (at $30.00 / month)", 6000, [3000]),  # noqa: RUF001 - as at Stripe
    ]
    assert (second["total"], second["amount_paid"]) == (3575, 3575)
    running = desk.get(f"subscriptions/{schedule['subscription']}")
    assert (running["metadata"], running["items"]["data"][0]["quantity"]) == ({"phase": "second"}, 2)
    desk.advance(clock, schedule["phases"][1]["end_date"] + 1)
    over = desk.get(f"subscriptions/{schedule['subscription']}")
    assert (over["status"], over["ended_at"]) == ("canceled", schedule["phases"][1]["end_date"])
    assert desk.get(f"subscription_schedules/{schedule['id']}")["status"] == "completed"
    assert len(desk.invoices(schedule["subscription"])) == 2


def test_a_cancelled_schedule_settles_and_a_released_one_may_keep_its_end(desk: Desk) -> None:
    price = desk.price(3100)
    made = []
    for _ in range(2):
        clock = desk.clock()
        customer = desk.payer(test_clock=clock)
        phase = {"items": [{"price": price}], "duration": {"interval": "month", "interval_count": 2}}
        given = {"customer": customer, "start_date": "now", "end_behavior": "cancel", "phases": [phase]}
        made.append(desk.post("subscription_schedules", **given))
        desk.advance(clock, FROZEN + 10 * DAY)
    desk.post(f"subscription_schedules/{made[0]['id']}/cancel")
    last = desk.invoices(made[0]["subscription"])[-1]
    assert (last["total"], last["status"]) == (-2100, "paid")
    released = desk.post(f"subscription_schedules/{made[1]['id']}/release", preserve_cancel_date=True)
    kept = desk.get(f"subscriptions/{released['released_subscription']}")
    assert (kept["status"], kept["schedule"], kept["cancel_at"]) == ("active", None, made[1]["phases"][0]["end_date"])
    refused = desk.refusal("POST", f"subscription_schedules/{made[1]['id']}/release")
    assert "`released` status" in refused["message"]


def test_time_before_now_is_charged_period_by_period(desk: Desk) -> None:
    price, now = desk.price(3100), desk.world.clock.now()
    begun = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    subscription = desk.post(
        "subscriptions",
        customer=desk.payer(),
        items=[{"price": price}],
        backdate_start_date=begun,
        expand=["latest_invoice"],
    )
    amounts = [line["amount"] for line in subscription["latest_invoice"]["lines"]["data"]]
    whole = (datetime.fromtimestamp(now, UTC).year - 2026) * 12 + datetime.fromtimestamp(now, UTC).month - 1
    assert amounts[:whole] == [3100] * whole
    assert 0 <= amounts[whole] < 3100
    assert amounts[whole + 1 :] == [3100]
    assert (subscription["start_date"], subscription["billing_cycle_anchor"] >= now) == (begun, True)


def test_paying_from_now_on_is_invoiced_at_once_and_a_pause_of_collection_ends_by_itself(desk: Desk) -> None:
    free, paid = desk.price(0, name="Free"), desk.price(1000, name="Paid")
    subscription, clock = started(desk, [{"price": free}])
    desk.advance(clock, FROZEN + 10 * DAY)
    changed = desk.post(
        f"subscriptions/{subscription['id']}",
        items=[{"id": item_of(subscription), "price": paid}],
        expand=["latest_invoice"],
    )
    assert changed["billing_cycle_anchor"] == FROZEN
    # 21 of 31 days at 10.00 are 6.774...
    assert changed["latest_invoice"]["amount_paid"] == 677
    path = f"subscriptions/{subscription['id']}"
    pause = {"behavior": "void", "resumes_at": FROZEN + 50 * DAY}
    assert desk.post(path, pause_collection=pause)["pause_collection"] == pause
    desk.advance(clock, FROZEN + 45 * DAY)
    assert desk.invoices(subscription["id"])[-1]["status"] == "void"
    desk.advance(clock, FROZEN + 51 * DAY)
    assert desk.get(path)["pause_collection"] is None


@pytest.mark.parametrize("mode", ["flexible", "classic"])
def test_an_end_within_the_period_gives_the_rest_back_until_it_is_taken_back(desk: Desk, mode: str) -> None:
    subscription, clock = started(desk, [{"price": desk.price(3100)}], billing_mode={"type": mode})
    path, customer = f"subscriptions/{subscription['id']}", subscription["customer"]
    desk.advance(clock, FROZEN + 5 * DAY)
    cut = desk.post(path, cancel_at=FROZEN + 20 * DAY)
    assert cut["items"]["data"][0]["current_period_end"] == FROZEN + 20 * DAY
    given_back = desk.listed("invoiceitems", customer=customer)
    assert [(item["amount"], item["period"]["start"]) for item in given_back] == [(-1100, FROZEN + 20 * DAY)]
    later = desk.post(path, cancel_at=FROZEN + 30 * DAY)
    assert later["items"]["data"][0]["current_period_end"] == FROZEN + 30 * DAY
    kept = desk.post(path, cancel_at="")
    assert kept["items"]["data"][0]["current_period_end"] == FROZEN + MONTH
    amounts = [item["amount"] for item in desk.listed("invoiceitems", customer=customer)]
    assert sum(amounts) == 0
    desk.post(path, cancel_at=FROZEN + 20 * DAY, proration_behavior="none")
    assert [item["amount"] for item in desk.listed("invoiceitems", customer=customer)] == amounts
    desk.advance(clock, FROZEN + 21 * DAY)
    assert (desk.get(path)["status"], desk.get(path)["ended_at"]) == ("canceled", FROZEN + 20 * DAY)
    assert [bill["total"] for bill in desk.invoices(subscription["id"])] == [3100]


def test_an_end_within_a_later_period_shortens_that_one(desk: Desk) -> None:
    price = desk.price(3000)
    subscription, clock = started(desk, [{"price": price}], cancel_at=FROZEN + MONTH + 15 * DAY)
    desk.advance(clock, FROZEN + MONTH + 3601)
    # 15 of the 30 days from 6 April to 6 May.
    assert [bill["amount_paid"] for bill in desk.invoices(subscription["id"])] == [3000, 1500]
    assert desk.get(f"subscriptions/{subscription['id']}")["items"]["data"][0]["current_period_end"] == (
        FROZEN + MONTH + 15 * DAY
    )
    desk.advance(clock, FROZEN + MONTH + 16 * DAY)
    assert desk.get(f"subscriptions/{subscription['id']}")["status"] == "canceled"
    at_once, _ = started(desk, [{"price": desk.price(3100)}], cancel_at=FROZEN + 10 * DAY)
    assert at_once["latest_invoice"]["amount_paid"] == 1000
    unshortened = {"cancel_at": FROZEN + 10 * DAY, "proration_behavior": "none"}
    whole, _ = started(desk, [{"price": desk.price(3100)}], **unshortened)
    assert whole["latest_invoice"]["amount_paid"] == 3100


@pytest.mark.parametrize(
    ("mode", "anchor", "paid", "words"),
    [
        # 21 of 31 days at 10.00 come back; 356 of 366 days at 120.00 are charged, or a whole year.
        ("flexible", None, 11672 - 677, "Remaining time on Yearly after 16 Mar 2027"),
        ("flexible", {"type": "now"}, 12000 - 677, "1 × Yearly (at $120.00 / year)"),  # noqa: RUF001 - as at Stripe
        ("classic", None, 12000 - 677, "1 × Yearly (at $120.00 / year)"),  # noqa: RUF001 - as at Stripe
    ],
)
def test_another_interval_keeps_the_anchor_unless_it_is_moved(
    desk: Desk, mode: str, anchor: Json | None, paid: int, words: str
) -> None:
    monthly = desk.price(1000, name="Monthly")
    yearly = desk.price(12000, name="Yearly", interval="year")
    subscription, clock = started(desk, [{"price": monthly}], billing_mode={"type": mode})
    desk.advance(clock, FROZEN + 10 * DAY)
    change = {"items": [{"id": item_of(subscription), "price": yearly}], "billing_cycle_anchor": anchor}
    changed = desk.post(f"subscriptions/{subscription['id']}", **change, expand=["latest_invoice"])
    begins = FROZEN if paid == 11672 - 677 else FROZEN + 10 * DAY
    item = changed["items"]["data"][0]
    assert (changed["billing_cycle_anchor"], item["current_period_start"]) == (begins, begins)
    assert item["current_period_end"] == begins + 366 * DAY
    assert (changed["latest_invoice"]["amount_paid"], changed["plan"]["id"]) == (paid, yearly)
    assert [line["description"] for line in changed["latest_invoice"]["lines"]["data"]][1] == words


@pytest.mark.parametrize(
    ("restrictions", "amount", "message"),
    [
        ({"minimum_amount": 5000, "minimum_amount_currency": "usd"}, 4999, "below its minimum of 5000 usd"),
        ({"first_time_transaction": True}, 5000, "has prior transactions"),
    ],
)
def test_promotion_codes_hold_their_restrictions(desk: Desk, restrictions: Json, amount: int, message: str) -> None:
    coupon = desk.post("coupons", percent_off=20, duration="forever")["id"]
    code = desk.post("promotion_codes", promotion={"type": "coupon", "coupon": coupon}, restrictions=restrictions)
    customer = desk.payer()
    desk.post("subscriptions", customer=customer, items=[{"price": desk.price(100)}])
    given = {"customer": customer, "discounts": [{"promotion_code": code["id"]}]}
    refused = desk.refusal("POST", "subscriptions", **given, items=[{"price": desk.price(amount)}])
    assert (refused["param"], message in refused["message"]) == ("discounts[0][promotion_code]", True)
    assert desk.get(f"promotion_codes/{code['id']}")["times_redeemed"] == 0
    given["customer"] = desk.payer()
    made = desk.post("subscriptions", **given, items=[{"price": desk.price(5000)}], expand=["latest_invoice"])
    assert made["latest_invoice"]["total"] == 4000


def test_a_page_for_later_charges_leaves_a_method_behind(desk: Desk) -> None:
    customer = desk.post("customers")["id"]
    page = desk.post(
        "checkout/sessions", mode="setup", customer=customer, currency="usd", success_url="https://example.com"
    )
    assert (page["amount_total"], page["payment_status"]) == (None, "no_payment_required")
    done = desk.post(f"payment_pages/{page['id']}/confirm", payment_method="pm_card_visa")
    intent = desk.get(f"setup_intents/{done['setup_intent']}", expand=["payment_method"])
    assert (done["status"], intent["status"], intent["payment_method"]["customer"]) == (
        "complete",
        "succeeded",
        customer,
    )


def test_a_page_takes_codes_and_taxes_and_charges_what_it_shows(desk: Desk) -> None:
    rate = desk.post("tax_rates", display_name="VAT", inclusive=False, percentage=19)["id"]
    coupon = desk.post("coupons", amount_off=300, currency="usd", duration="once")["id"]
    desk.post("promotion_codes", promotion={"type": "coupon", "coupon": coupon}, code="SPRING")
    items = [
        {"price": desk.price(1000), "quantity": 2, "tax_rates": [rate]},
        {"price": desk.price(1000, interval=None), "quantity": 1},
    ]
    terms = {"mode": "subscription", "success_url": "https://example.com", "allow_promotion_codes": True}
    page = desk.post("checkout/sessions", line_items=items, **terms)
    assert (page["amount_subtotal"], page["amount_total"]) == (3000, 3380)
    done = desk.post(
        f"payment_pages/{page['id']}/confirm",
        payment_method="pm_card_visa",
        promotion_code="SPRING",
        expected_amount=page["amount_total"],
    )
    assert done["total_details"] == {"amount_discount": 300, "amount_shipping": 0, "amount_tax": 342}
    assert desk.get(f"invoices/{done['invoice']}")["amount_paid"] == done["amount_total"] == 3042
    assert desk.get(f"coupons/{coupon}")["times_redeemed"] == 1


def test_a_credit_note_gives_taxes_and_discounts_back_in_the_same_measure(desk: Desk) -> None:
    rate = desk.post("tax_rates", display_name="VAT", inclusive=False, percentage=19)["id"]
    tenth = desk.post("coupons", percent_off=10, duration="forever")["id"]
    made = desk.post(
        "subscriptions",
        customer=desk.payer(),
        items=[{"price": desk.price(1000), "quantity": 3}],
        default_tax_rates=[rate],
        discounts=[{"coupon": tenth}],
        expand=["latest_invoice"],
    )
    invoice = made["latest_invoice"]
    assert (invoice["subtotal"], invoice["total"]) == (3000, 3213)
    line = {"type": "invoice_line_item", "invoice_line_item": invoice["lines"]["data"][0]["id"], "quantity": 1}
    custom = {"type": "custom_line_item", "unit_amount": 100, "quantity": 2, "tax_rates": [rate]}
    given = {"invoice": invoice["id"], "lines": [line, custom]}
    shown = desk.get("credit_notes/preview", **given, refund_amount=1000, credit_amount=309)
    note = desk.post("credit_notes", **given, refund_amount=1000, credit_amount=309)
    for one in (shown, note):
        assert (one["subtotal"], one["discount_amount"], one["total"]) == (1200, 100, 1309)
        assert [(tax["amount"], tax["taxable_amount"]) for tax in one["total_taxes"]] == [(209, 1100)]
    assert desk.get(f"customers/{made['customer']}")["balance"] == -309
    refund = desk.get(f"refunds/{note['refunds'][0]['refund']}", expand=["balance_transaction"])
    assert (refund["amount"], refund["balance_transaction"]["net"]) == (1000, -1000)
    after = desk.get(f"invoices/{invoice['id']}")
    assert after["post_payment_credit_notes_amount"] == 1309
    left = desk.refusal("POST", "credit_notes", invoice=invoice["id"], amount=1905, credit_amount=1905)
    assert left["status"] == 400
    desk.post("credit_notes", invoice=invoice["id"], amount=1904, credit_amount=1904)


@pytest.mark.parametrize(
    ("iban", "status", "invoice_status"),
    [("AT611904300234573201", "active", "paid"), ("AT861904300235473202", "past_due", "open")],
)
def test_a_debit_activates_at_once_and_the_bank_answers_later(
    desk: Desk, iban: str, status: str, invoice_status: str
) -> None:
    billing = {"name": "Payer", "email": "payer@example.com"}
    method = desk.post("payment_methods", type="sepa_debit", sepa_debit={"iban": iban}, billing_details=billing)["id"]
    customer = desk.post("customers")["id"]
    desk.post(f"payment_methods/{method}/attach", customer=customer)
    price = desk.price(1000, currency="eur")
    made = desk.post(
        "subscriptions",
        customer=customer,
        items=[{"price": price}],
        default_payment_method=method,
        expand=["latest_invoice"],
    )
    assert (made["status"], made["latest_invoice"]["status"]) == ("active", "open")
    desk.world.move_clock(desk.world.clock.now() + 1)
    answered = desk.get(f"subscriptions/{made['id']}", expand=["latest_invoice"])
    assert (answered["status"], answered["latest_invoice"]["status"]) == (status, invoice_status)


def test_a_bank_transfer_pays_the_invoice_that_waits_for_one(desk: Desk) -> None:
    customer = desk.post("customers")["id"]
    desk.post("invoiceitems", customer=customer, amount=5000, currency="usd")
    invoice = desk.post(
        "invoices",
        customer=customer,
        collection_method="send_invoice",
        days_until_due=30,
        pending_invoice_items_behavior="include",
        payment_settings={"payment_method_types": ["customer_balance"]},
    )
    desk.post(f"invoices/{invoice['id']}/send")
    desk.post(f"test_helpers/customers/{customer}/fund_cash_balance", amount=4999, currency="usd")
    assert desk.get(f"invoices/{invoice['id']}")["status"] == "open"
    desk.post(f"test_helpers/customers/{customer}/fund_cash_balance", amount=5000, currency="usd")
    paid = desk.get(f"invoices/{invoice['id']}")
    assert (paid["status"], paid["amount_paid"]) == ("paid", 5000)
    assert desk.get(f"customers/{customer}/cash_balance")["available"] == {"usd": 4999}


def test_what_is_too_little_to_charge_is_owed_until_the_next_invoice(desk: Desk) -> None:
    customer = desk.payer()
    invoices = []
    for amount in (20, 100):
        desk.post("invoiceitems", customer=customer, amount=amount, currency="usd")
        draft = desk.post("invoices", customer=customer, pending_invoice_items_behavior="include")
        invoices.append(desk.post(f"invoices/{draft['id']}/pay"))
    kept = [(one["status"], one["total"], one["amount_paid"], one["starting_balance"]) for one in invoices]
    assert kept == [("paid", 20, 0, 0), ("paid", 100, 120, 20)]
    moved = desk.listed(f"customers/{customer}/balance_transactions")
    assert [(one["type"], one["amount"]) for one in moved] == [("invoice_too_small", 20), ("applied_to_invoice", -20)]


def test_the_lines_of_a_draft_come_change_and_go(desk: Desk) -> None:
    customer = desk.payer()
    draft = desk.post("invoices", customer=customer)
    path = f"invoices/{draft['id']}"
    given = [{"amount": 700, "description": "First"}, {"amount": 300, "description": "Second"}]
    full = desk.post(f"{path}/add_lines", lines=given)
    first, second = (line["id"] for line in full["lines"]["data"])
    assert desk.post(f"{path}/lines/{first}", amount=900)["amount"] == 900
    changed = desk.post(f"{path}/update_lines", lines=[{"id": second, "description": "Third", "amount": 200}])
    assert lines_of(changed) == [("First", 900, []), ("Third", 200, [])]
    left = desk.post(f"{path}/remove_lines", lines=[{"id": first, "behavior": "unassign"}])
    assert (left["total"], lines_of(left)) == (200, [("Third", 200, [])])
    assert [item["amount"] for item in desk.listed("invoiceitems", customer=customer, pending=True)] == [900]
    desk.post(f"{path}/finalize")
    refused = desk.refusal("POST", f"{path}/add_lines", lines=given)
    assert (refused["status"], refused["code"]) == (400, "invoice_not_editable")


@pytest.mark.parametrize(
    ("rule", "status"), [("cancel", "canceled"), ("pause", "paused"), ("create_invoice", "past_due")]
)
def test_a_trial_ends_without_a_payment_method_as_its_settings_say(desk: Desk, rule: str, status: str) -> None:
    clock = desk.clock()
    customer = desk.post("customers", test_clock=clock)["id"]
    made = desk.post(
        "subscriptions",
        customer=customer,
        items=[{"price": desk.price(1000)}],
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": rule}},
        payment_behavior="default_incomplete",
        expand=["pending_setup_intent"],
    )
    assert made["pending_setup_intent"]["status"] == "requires_payment_method"
    desk.advance(clock, FROZEN + 8 * DAY)
    after = desk.get(f"subscriptions/{made['id']}")
    assert after["status"] == status
    paused = (after["status_details"] or {}).get("paused", {})
    assert paused.get("transitioned_at") == (FROZEN + 7 * DAY if rule == "pause" else None)
    if rule == "pause":
        method = desk.post("payment_methods/pm_card_visa/attach", customer=customer)["id"]
        desk.post(f"customers/{customer}", invoice_settings={"default_payment_method": method})
        resumed = desk.post(f"subscriptions/{made['id']}/resume", expand=["latest_invoice"])
        assert (resumed["status"], resumed["status_details"], resumed["latest_invoice"]["amount_paid"]) == (
            "active",
            None,
            1000,
        )
