from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing_worker.domains.invoices.document import MINUS, Surroundings, describe_invoice
from tests.support.pages import MARCH, document, invoice, line


def test_an_open_invoice_says_what_is_due_and_until_when() -> None:
    told = document(line("Pro", 4900), due_date=MARCH + 86400, hosted_invoice_url="https://pay.example.com/1")
    assert told["facts"] == [
        ["Invoice number", "EX-0042"],
        ["Date of issue", "1 March 2026"],
        ["Date due", "2 March 2026"],
    ]
    assert told["seller"] == ["Example, Inc.", "5 Broad Street"]
    assert told["customer"] == ["Ann Example", "1 Main St", "Springfield, IL", "US"]
    assert told["due"] == ["Amount due", "49.00 USD"]
    assert told["totals"] == [["Subtotal", "49.00"], ["Total", "49.00"]]
    assert (told["page"], told["page_size"], told["mark"]) == ("https://pay.example.com/1", "us-letter", "")
    assert told["lines"] == [
        {
            "description": "Pro",
            "notes": ["1 March 2026 \N{EN DASH} 1 April 2026"],
            "is_overage": False,
            "quantity": "1",
            "unit": "49.00",
            "amount": "49.00",
        }
    ]


@pytest.mark.parametrize(
    ("currency", "minor", "unit", "shown"),
    [
        ("usd", 123456, "0.5", ["1,234.56 USD", "0.005"]),
        ("jpy", 123456, "1000", ["123,456 JPY", "1,000"]),
        ("kwd", 123450, "10", ["123.450 KWD", "0.010"]),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, minor: int, unit: str, shown: list[str]) -> None:
    told = document(line("Calls", minor, pricing={"unit_amount_decimal": unit}), currency=currency)
    assert [told["due"][1], told["lines"][0]["unit"]] == shown


def test_discounts_taxes_and_balance_stand_between_subtotal_and_what_is_due() -> None:
    fields: dict[str, Any] = {
        "subtotal": 10000,
        "total": 9520,
        "amount_due": 9020,
        "amount_remaining": 9020,
        "total_discount_amounts": [
            {"amount": 2000, "discount": {"source": {"coupon": {"name": "Spring"}}}},
            {"amount": 0, "discount": "di_2"},
        ],
        "total_taxes": [
            {
                "amount": 1520,
                "taxable_amount": 8000,
                "tax_behavior": "exclusive",
                "tax_rate_details": {"tax_rate": "txr_1"},
            },
            {
                "amount": 12,
                "taxable_amount": 100,
                "tax_behavior": "inclusive",
                "taxability_reason": "reverse_charge",
                "tax_rate_details": {"tax_rate": "txr_unknown"},
            },
        ],
    }
    around = Surroundings(ZoneInfo("UTC"), tax_rates={"txr_1": {"display_name": "VAT", "percentage": 19.0}})
    told = describe_invoice(invoice(line("Team", 10000), **fields), around)
    assert told["totals"] == [
        ["Subtotal", "100.00"],
        ["Discount (Spring)", f"{MINUS}20.00"],
        ["VAT 19 % on 80.00", "15.20"],
        ["Tax on 1.00 (included)", "0.12"],
        ["Total", "95.20"],
        ["Balance applied", f"{MINUS}5.00"],
    ]
    assert told["notes"] == ["Tax to be paid on reverse charge basis"]


def test_a_line_tells_of_overage_and_of_its_discount() -> None:
    told = document(
        line("Unused time", -645, metadata={"nself_overage": "q"}, discount_amounts=[{"amount": 100}], period=None)
    )["lines"][0]
    assert (told["amount"], told["is_overage"], told["notes"]) == (f"{MINUS}6.45", True, [f"Discount {MINUS}1.00"])


@pytest.mark.parametrize(
    ("status", "mark", "due"),
    [
        ("draft", "DRAFT", ["Amount due", "49.00 USD"]),
        ("open", "", ["Amount due", "40.00 USD"]),
        ("void", "VOID", ["Amount due", "40.00 USD"]),
        ("paid", "", ["Amount paid", "9.00 USD"]),
    ],
)
def test_what_is_asked_for_follows_the_status(status: str, mark: str, due: list[str]) -> None:
    told = document(line("Pro", 4900), status=status, amount_paid=900, amount_remaining=4000, number=None)
    assert (told["mark"], told["due"], told["number"]) == (mark, due, "in_1")
    assert document(line("Pro", 1), status=status, mark="TEST")["mark"] == "TEST"


def test_pages_to_pay_at_are_of_the_web_and_for_what_is_open() -> None:
    assert document(line("Pro", 1), hosted_invoice_url="javascript:alert(1)")["page"] == ""
    assert document(line("Pro", 1), hosted_invoice_url="https://p.example.com", status="paid")["page"] == ""


def test_the_smallest_invoice_can_be_told() -> None:
    told = describe_invoice({"id": "in_9", "currency": "eur"}, Surroundings(ZoneInfo("UTC")))
    assert (told["lines"], told["customer"], told["seller"], told["page_size"]) == ([], [], [], "a4")


def test_control_characters_do_not_reach_the_page() -> None:
    assert document(line("A\x00B\x1b[31m", 1))["lines"][0]["description"] == "A B [31m"
