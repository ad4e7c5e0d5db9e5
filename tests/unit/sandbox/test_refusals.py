"""What Stripe refuses is refused in its words: status, type, code, parameter and message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.sandbox.desk import Desk, Json, opened

FINAL = "Finalized invoices can't be updated in this way"


@dataclass(frozen=True)
class Stock:
    """What the refused calls refer to."""

    desk: Desk
    names: Json


@pytest.fixture(scope="module")
def stock() -> Iterator[Stock]:
    with opened() as desk:
        customer, price = desk.payer(), desk.price(1000)
        running = desk.post("subscriptions", customer=customer, items=[{"price": price}])
        over = desk.post("subscriptions", customer=desk.payer(), items=[{"price": price}])
        desk.delete(f"subscriptions/{over['id']}")
        desk.post("coupons", id="ONCE", percent_off=10, max_redemptions=1)
        desk.post("subscriptions", customer=desk.payer(), items=[{"price": price}], discounts=[{"coupon": "ONCE"}])
        archived = desk.price(500)
        desk.post(f"prices/{archived}", active=False)
        desk.post("invoiceitems", customer=customer, amount=500, currency="usd")
        draft = desk.post("invoices", customer=customer, pending_invoice_items_behavior="include")
        voided = desk.post(f"invoices/{draft['id']}/finalize")
        desk.post(f"invoices/{draft['id']}/void")
        names = {
            "cus": customer,
            "price": price,
            "once": desk.price(700, interval=None),
            "year": desk.price(700, interval="year"),
            "euro": desk.price(700, currency="eur"),
            "archived": archived,
            "sub": running["id"],
            "item": running["items"]["data"][0]["id"],
            "over": over["id"],
            "paid": running["latest_invoice"],
            "void": voided["id"],
            "other": desk.listed("payment_methods", customer=desk.payer())[0]["id"],
        }
        yield Stock(desk, names)


def filled(value: Any, names: Json) -> Any:
    if isinstance(value, dict):
        return {key: filled(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, names) for inner in value]
    return value.format_map(names) if isinstance(value, str) else value


ONE = [{"price": "{price}"}]
REFUSED: list[tuple[str, str, Json, tuple[int, str | None, str | None], str]] = [
    ("GET", "customers/cus_x", {}, (404, "resource_missing", "id"), "No such customer: 'cus_x'"),
    ("POST", "subscriptions", {"customer": "cus_x", "items": ONE}, (400, "resource_missing", "customer"), "cus_x"),
    ("POST", "subscriptions", {"items": ONE}, (400, "parameter_missing", "customer"), "Missing required param: "),
    ("POST", "customers", {"nope": 1}, (400, "parameter_unknown", "nope"), "Received unknown parameter: nope"),
    (
        "POST",
        "subscriptions",
        {"customer": "{cus}", "items": [{"price": "{price}"}, {"price": "price_x"}]},
        (400, "resource_missing", "items[1][price]"),
        "No such price: 'price_x'",
    ),
    (
        "POST",
        "subscriptions",
        {"customer": "{cus}", "items": [{"price": "{price}", "quantity": -1}]},
        (400, "parameter_invalid_integer", "items[0][quantity]"),
        "Invalid non-negative integer",
    ),
    (
        "POST",
        "subscriptions",
        {"customer": "{cus}", "items": [*ONE, *ONE]},
        (400, None, "items[1][price]"),
        "same plan",
    ),
    (
        "POST",
        "subscriptions",
        {"customer": "{cus}", "items": [*ONE, {"price": "{year}"}]},
        (400, None, "items"),
        "same `recurring.interval`",
    ),
    (
        "POST",
        "subscriptions",
        {"customer": "{cus}", "items": [{"price": "{once}"}]},
        (400, None, "items[0][price]"),
        "only accepts prices with `type=recurring`",
    ),
    (
        "POST",
        "subscriptions",
        {"customer": "{cus}", "items": [{"price": "{archived}"}]},
        (400, None, "items[0][price]"),
        "only accepts active prices",
    ),
    (
        "POST",
        "subscriptions",
        {"customer": "{cus}", "items": [{"price": "{euro}"}]},
        (400, None, "customer"),
        "cannot combine currencies on a single customer",
    ),
    (
        "POST",
        "subscriptions",
        {"customer": "{cus}", "items": ONE, "trial_end": 5},
        (400, None, "trial_end"),
        "in the future",
    ),
    (
        "POST",
        "subscriptions",
        {"customer": "{cus}", "items": ONE, "collection_method": "send_invoice"},
        (400, "parameter_missing", "days_until_due"),
        "you must also pass `days_until_due`",
    ),
    (
        "POST",
        "subscriptions",
        {"customer": "{cus}", "items": ONE, "discounts": [{"coupon": "ONCE"}]},
        (400, "coupon_expired", "discounts[0][coupon]"),
        "used up",
    ),
    (
        "POST",
        "subscriptions",
        {"customer": "{cus}", "items": ONE, "discounts": [{"coupon": "NONE"}]},
        (400, "resource_missing", "discounts[0][coupon]"),
        "No such coupon: 'NONE'",
    ),
    ("DELETE", "subscriptions/{over}", {}, (404, "resource_missing", "id"), "No such subscription: "),
    ("POST", "subscriptions/{over}", {"items": ONE}, (400, None, None), "A canceled subscription can only update"),
    ("POST", "subscriptions/{sub}/resume", {}, (400, None, None), "whose status is `paused`"),
    ("DELETE", "subscription_items/{item}", {}, (400, None, "items"), "at least one active plan"),
    ("POST", "invoices/{paid}/pay", {}, (400, "invoice_already_paid", None), "Invoice is already paid"),
    ("POST", "invoices/{void}/pay", {}, (400, "invoice_not_open", None), "void"),
    ("POST", "invoices/{paid}/finalize", {}, (400, "invoice_not_editable", None), "already finalized"),
    ("POST", "invoices/{paid}/void", {}, (400, "invoice_not_editable", None), "open invoices"),
    ("POST", "invoices/{paid}", {"description": "x"}, (400, "invoice_not_editable", "description"), FINAL),
    ("DELETE", "invoices/{paid}", {}, (400, "invoice_not_editable", None), "only delete draft invoices"),
    ("GET", "coupons/NONE", {}, (404, "resource_missing", "id"), "No such coupon: 'NONE'"),
    ("POST", "coupons", {"percent_off": 101}, (400, None, "percent_off"), "percent_off"),
    (
        "POST",
        "coupons",
        {"percent_off": 1, "duration": "repeating"},
        (400, None, "duration_in_months"),
        "duration_in_months",
    ),
    (
        "POST",
        "invoices/create_preview",
        {"subscription": "{over}"},
        (404, "invoice_upcoming_none", None),
        "No upcoming invoices for customer: ",
    ),
    (
        "POST",
        "checkout/sessions",
        {"mode": "payment", "line_items": ONE, "success_url": "https://example.com"},
        (400, None, "line_items"),
        "You specified `payment` mode but passed a recurring price",
    ),
    ("POST", "payment_methods/{other}/attach", {"customer": "{cus}"}, (400, None, "payment_method"), "previously used"),
    (
        "POST",
        "subscriptions/{sub}",
        {"automatic_tax": {"enabled": True}},
        (400, "sandbox_not_simulated", "automatic_tax"),
        "does not simulate",
    ),
]


@pytest.mark.parametrize(("method", "path", "params", "expected", "message"), REFUSED)
def test_a_refusal_has_stripes_form(
    stock: Stock, method: str, path: str, params: Json, expected: tuple[int, str | None, str | None], message: str
) -> None:
    before = len(stock.desk.listed("events"))
    error = stock.desk.refusal(method, filled(path, stock.names), **filled(params, stock.names))
    status, code, param = expected
    assert (error["status"], error.get("code"), error.get("param")) == (status, code, param)
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"
    is_stripes = code is not None and not code.startswith("sandbox_")
    slug = (code or "").replace("_", "-")
    assert error.get("doc_url") == (f"https://stripe.com/docs/error-codes/{slug}" if is_stripes else None)
    assert len(stock.desk.listed("events")) == before
