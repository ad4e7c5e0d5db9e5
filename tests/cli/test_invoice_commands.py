"""The guide's sections on invoices, command by command, against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tests.cli.nself import Nself, WarmNself
from tests.support.deliveries import rows
from tests.support.stripe_sandbox import KEY, Sandbox, run_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def nself(tmp_path: Path, database_url: str, redis_url: str, sandbox: Sandbox) -> Nself:
    return WarmNself(
        tmp_path,
        {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_API_BASE": sandbox.url,
        },
    )


def told(nself: Nself, *arguments: str, code: int = 0) -> Any:
    done = nself("billing", "invoice", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def refused(nself: Nself, *arguments: str) -> tuple[int, str]:
    done = nself("billing", "invoice", *arguments)
    assert done.stdout == ""
    return done.returncode, done.stderr.strip()


def one_time_price(sandbox: Sandbox, amount_minor: int) -> str:
    product = sandbox.api("POST", "products", name="Setup")
    price = sandbox.api("POST", "prices", product=product["id"], currency="usd", unit_amount=amount_minor)
    return str(price["id"])


def test_a_draft_is_corrected_checked_finalised_and_paid(nself: Nself, sandbox: Sandbox, session: Session) -> None:
    customer, recurring = sandbox.paying_customer(), sandbox.monthly_price(700)
    made = told(nself, "create", "--customer", customer)
    invoice = made["invoice"]
    assert (made["status"], made["total_minor"], made["mirrored"]) == ("draft", 0, True)
    assert refused(nself, "finalize", invoice)[0] == 3

    assert told(nself, "add-item", invoice, "--price", one_time_price(sandbox, 250), "--quantity", "5")[
        "total_minor"
    ] == (1250)
    assert told(nself, "add-item", invoice, "--price", recurring)["total_minor"] == 1950
    wrong = told(nself, "add-item", invoice, "--description", "Minimum charge", "--amount", "50")
    assert wrong["total_minor"] == 2000
    lines = told(nself, "show-lines", invoice)
    [minimum] = [line for line in lines if line["description"] == "Minimum charge"]
    assert told(nself, "remove-item", invoice, "--line-item", minimum["line"])["total_minor"] == 1950
    rate = sandbox.api("POST", "tax_rates", display_name="VAT", percentage=20, inclusive=False)["id"]
    assert told(nself, "add-tax", invoice, "--tax-rate", rate)["total_minor"] == 2340
    assert told(nself, "update", invoice, "--description", "January")["status"] == "draft"
    assert told(nself, "update", invoice)["mirrored"] is True
    shown = told(nself, "show", invoice, "--verbose")
    assert (shown["description"], shown["tax_minor"], len(shown["lines"])) == ("January", 390, 2)
    assert {tax["line"] for tax in told(nself, "show", invoice, "--show-tax")["taxes"]} > {"total"}
    assert told(nself, "preview", invoice)["do_not_fit"] == 0
    assert told(nself, "recalculate", invoice)["do_not_fit"] == 0

    final = told(nself, "generate", invoice)
    assert (final["status"], final["total_minor"]) == ("open", 2340)
    code, said = refused(nself, "add-item", invoice, "--amount", "5")
    assert (code, "only drafts take new lines: `nself billing invoice regenerate" in said) == (3, True)
    assert [one["id"] for one in told(nself, "list", "--status", "open", "--customer", customer)] == [invoice]
    assert told(nself, "pay", invoice)["status"] == "paid"
    audited = told(nself, "audit", invoice)
    assert (audited["do_not_fit"], audited["amount_remaining_minor"]) == (0, 0)
    assert refused(nself, "regenerate", invoice)[0] == 3
    assert rows(session, "SELECT status, total_minor FROM billing_invoices") == [("paid", 2340)]
    assert len(sandbox.listed("charges", customer=customer)) == 1


def test_an_open_invoice_is_made_again_and_the_first_one_is_void(nself: Nself, sandbox: Sandbox) -> None:
    customer = sandbox.paying_customer()
    invoice = told(nself, "create", "--customer", customer)["invoice"]
    told(nself, "add-item", invoice, "--description", "Work", "--amount", "900")
    told(nself, "finalize", invoice)
    again = told(nself, "regenerate", invoice)
    assert (again["status"], again["total_minor"]) == ("draft", 900)
    [line] = told(nself, "show-lines", again["invoice"])
    told(nself, "remove-item", again["invoice"], "--line-item", line["line"])
    told(nself, "add-item", again["invoice"], "--description", "Work", "--amount", "800")
    assert told(nself, "finalize", again["invoice"])["total_minor"] == 800
    first = sandbox.api("GET", f"invoices/{invoice}")
    assert (first["status"], first["latest_revision"]) == ("void", again["invoice"])


def test_a_decline_says_what_it_means_and_another_card_pays(nself: Nself, sandbox: Sandbox, session: Session) -> None:
    customer = sandbox.paying_customer("pm_card_chargeCustomerFail")
    invoice = told(nself, "create", "--customer", customer)["invoice"]
    told(nself, "add-item", invoice, "--description", "Work", "--amount", "900")
    told(nself, "finalize", invoice)
    declined = told(nself, "pay", invoice, code=1)
    assert (declined["status"], declined["decline_code"], declined["needs"]) == (
        "open",
        "generic_decline",
        "payment_method",
    )
    code, said = refused(nself, "pay", invoice)
    assert (code, "--retry" in said) == (3, True)
    assert [error["source"] for error in told(nself, "errors", "--last", "24h")] == ["change"]
    sandbox.use_method(customer, "pm_card_visa")
    assert told(nself, "pay", invoice, "--retry")["status"] == "paid"
    attempts = "SELECT status FROM billing_intents WHERE operation = 'invoices.pay' ORDER BY created_at"
    assert rows(session, attempts) == [("declined",), ("succeeded",)]


def test_invoices_of_a_subscription_are_audited_against_it(nself: Nself, sandbox: Sandbox) -> None:
    customer, price = sandbox.paying_customer(), sandbox.monthly_price(1200)
    subscription = sandbox.subscribe(customer, price)
    done = nself("billing", "subscription", "import", subscription["id"])
    assert done.returncode == 0, done.stderr
    invoice = subscription["latest_invoice"]
    assert refused(nself, "show", invoice)[0] == 4
    assert told(nself, "update", invoice)["status"] == "paid"
    checks = {(found["check"], found["verdict"]) for found in told(nself, "audit", invoice)["findings"]}
    assert {("subtotal", "fits"), ("total", "fits"), ("amount", "fits"), ("quantity", "fits")} <= checks
    assert told(nself, "upcoming", "--customer", customer)["total_minor"] == 1200
    [line] = told(nself, "show-lines", invoice)
    draft = told(nself, "create", "--customer", customer)["invoice"]
    assert refused(nself, "remove-item", draft, "--line-item", line["line"])[0] == 4
    assert refused(nself, "remove-item", invoice, "--line-item", line["line"])[0] == 3
    assert refused(nself, "send", draft)[0] == 3
    sent = told(nself, "create", "--customer", customer, "--days-until-due", "14", "--empty")["invoice"]
    told(nself, "add-item", sent, "--description", "Work", "--amount", "900")
    assert told(nself, "send", sent)["status"] == "open"
    # somebody raises the price: what was billed no longer is what is subscribed to
    item = subscription["items"]["data"][0]["id"]
    sandbox.api(
        "POST",
        f"subscriptions/{subscription['id']}",
        items=[{"id": item, "price": sandbox.monthly_price(5000)}],
        proration_behavior="none",
    )
    nself("billing", "subscription", "import", subscription["id"])
    audited = told(nself, "audit", invoice, code=1)
    assert [found["check"] for found in audited["findings"] if found["verdict"] == "differs"] == ["price"]
