"""`nself billing customer`, `price`, `payment-method`, `access`, `tax`, `intent` as an operator types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.cli.nself import Nself, WarmNself
from tests.support.stripe_sandbox import KEY, Sandbox, run_sandbox

NUMBER = "4242424242424242"


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
    done = nself("billing", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def refused(nself: Nself, *arguments: str, code: int, **environ: str) -> str:
    done = nself("billing", *arguments, **environ)
    assert (done.returncode, done.stdout) == (code, ""), done.stdout + done.stderr
    return done.stderr


def test_a_customer_from_creation_to_card(nself: Nself, sandbox: Sandbox, engine: Engine) -> None:
    planned = told(nself, "customer", "create", "--user", "user123", "--email", "user@example.com", "--dry-run")
    assert planned == {
        "would_call": "POST /v1/customers",
        "with": {"email": "user@example.com", "metadata": {"user_id": "user123"}},
    }
    made = told(nself, "customer", "create", "--user", "user123", "--email", "user@example.com")
    customer = made["customer"]
    assert made == {"customer": customer, "user": "user123", "email": "user@example.com", "mirrored": True}
    assert "already" in refused(nself, "customer", "create", "--user", "user123", "--email", "x@example.com", code=3)

    street = ("--address-line1", "123 Main St", "--address-city", "San Francisco", "--address-state", "CA")
    moved = told(nself, "customer", "update", customer, *street, "--address-country", "US")
    assert (moved["address"]["city"], moved["mirrored"]) == ("San Francisco", True)
    for _ in range(2):
        tax_id = told(nself, "customer", "set-tax-id", customer, "--type", "us_ein", "--value", "12-3456789")
        assert tax_id["mirrored"] is True
    assert len(sandbox.listed(f"customers/{customer}/tax_ids")) == 1

    card = ("--card-number", NUMBER, "--exp-month", "12", "--exp-year", "2034", "--cvc", "987")
    method = told(nself, "payment-method", "create", "--customer", customer, *card, "--default")["payment_method"]
    assert told(nself, "payment-method", "show", method)["is_default"] is True
    assert told(nself, "payment-method", "details", method)["cvc_check"] == "pass"

    shown = told(nself, "customer", "show", customer)
    assert (shown["user"], shown["default_payment_method"], shown["trial_used"]) == ("user123", method, False)
    assert (shown["payment_methods"], shown["tax_ids"]) == ([f"{method} visa …4242"], ["us_ein 12-3456789"])
    assert told(nself, "customer", "show", customer, "--compare")["differences"] == {}
    sandbox.api("POST", f"customers/{customer}", description="by somebody else")
    assert list(told(nself, "customer", "show", customer, "--compare", code=1)["differences"]) == ["description"]
    assert told(nself, "customer", "import", customer)["mirrored"] is True
    assert [row["customer"] for row in told(nself, "customer", "list", "--test-mode")] == [customer]
    assert told(nself, "customer", "trial-eligibility", customer)["eligible"] is True
    assert told(nself, "customers", "audit", "--check-fraud") == []

    with engine.connect() as connection:
        trail = connection.execute(text("SELECT command, outcome FROM billing_operator_actions ORDER BY id"))
        commands = [(row.command.removeprefix("nself billing "), row.outcome) for row in trail]
        kept = str([tuple(row) for row in connection.execute(text("SELECT * FROM billing_operator_actions"))])
        kept += str([tuple(row) for row in connection.execute(text("SELECT parameters FROM billing_intents"))])
    assert commands == [
        ("customer create", "done"),
        ("customer create", "refused"),
        ("customer update", "done"),
        ("customer set-tax-id", "done"),
        ("customer set-tax-id", "done"),
        ("payment-method create", "done"),
        ("customer import", "done"),
    ]
    assert NUMBER not in kept
    assert "987" not in kept


def test_a_customer_of_stripe_is_taken_over_and_its_user_loses_and_regains_access(
    nself: Nself, sandbox: Sandbox
) -> None:
    customer = sandbox.api("POST", "customers", email="old@example.com")["id"]
    assert told(nself, "customer", "show", customer, "--compare", code=1)["here"] is False
    taken = told(nself, "customer", "create", "--user", "ann", "--stripe-customer", customer)
    assert (taken["customer"], taken["mirrored"]) == (customer, True)
    assert told(nself, "customer", "link", "--customer", customer, "--user", "ann")["was_linked_already"] is True
    assert "belongs to user ann" in refused(nself, "customer", "link", "--customer", customer, "--user", "bob", code=3)
    assert "never had a subscription" in refused(nself, "access", "show", "--user", "ann", code=4)
    revoked = told(nself, "access", "revoke", "--user", "ann", "--reason", "fraud")
    assert (revoked["access"], revoked["override_reason"]) == ("revoked", "fraud")
    assert told(nself, "access", "grant", "--user", "ann")["access"] == "none"
    assert "customer create --user bob" in refused(nself, "access", "revoke", "--user", "bob", code=4)


def test_products_and_prices_are_made_and_found(nself: Nself) -> None:
    product = told(nself, "product", "create", "--name", "Gold", "--metadata", "team=sales")["product"]
    terms = ("--product", product, "--amount", "999", "--currency", "usd", "--interval", "month")
    price = told(nself, "price", "create", *terms, "--trial-days", "14")["price"]
    overage = ("--type", "overage", "--metric", "api_calls", "--amount", "0.5")
    extra = told(nself, "price", "create", "--product", product, *overage)["price"]
    assert told(nself, "price", "show", price)["trial_period_days"] == 14
    assert [row["price"] for row in told(nself, "price", "show", "--type", "overage")] == [extra]
    assert {row["price"] for row in told(nself, "price", "list")} == {price, extra}
    shown = told(nself, "product", "show", product, "--compare")
    assert (set(shown["prices"]), shown["differences"]) == ({price, extra}, {})
    assert [row["product"] for row in told(nself, "product", "list")] == [product]


REFUSALS: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("customer", "create"), 2, "nself billing customer create --user user123"),
    (("customer", "create", "--email", "nobody"), 2, "write for example user@example.com"),
    (("customer", "update", "cus_no"), 2, "--email user@example.com"),
    (("customer", "update", "cus_no", "--email", "a@b.c"), 4, "nself billing customer list"),
    (("customer", "show", "cus_no"), 4, "nself billing customer import cus_no"),
    (("customer", "import", "cus_no"), 4, "No such customer"),
    (("customer", "notify", "--customer", "cus_no", "--template", "payment_failed"), 4, "cus_no"),
    (("price", "show"), 2, "--type overage"),
    (("price", "create", "--product", "prod_no", "--amount", "1"), 4, "nself billing product list"),
    (("price", "create", "--product", "p", "--amount", "9,99"), 2, "999 for 9.99 USD"),
    (("price", "create", "--product", "p", "--amount", "1", "--type", "overage"), 2, "--metric api_calls"),
    (("payment-method", "attach", "--customer", "cus_no", "--payment-method", "pm_no"), 4, "No such"),
    (("payment-intent", "show", "pi_no", "--show-secret"), 4, "No such payment_intent"),
    (("intent", "resolve", "0" * 8 + "-0000-0000-0000-" + "0" * 12, "--never", "--reason", "x"), 4, "intent list"),
)


def test_what_cannot_be_is_refused_with_what_to_do(nself: Nself) -> None:
    for arguments, code, said in REFUSALS:
        assert said in refused(nself, *arguments, code=code), arguments


def test_real_cards_and_live_mode_are_refused(nself: Nself, sandbox: Sandbox) -> None:
    customer = sandbox.api("POST", "customers")["id"]
    card = ("payment-method", "create", "--customer", customer, "--exp-month", "12", "--exp-year", "2034")
    real = refused(nself, *card, "--card-number", "4111111111111111", code=3)
    assert "ending in 1111" in real
    assert "4111111111111111" not in real
    assert "has passed" in refused(nself, *card[:-1], "2001", "--card-number", NUMBER, code=2)
    assert sandbox.listed(f"customers/{customer}/payment_methods") == []


def test_a_decline_is_explained(nself: Nself, sandbox: Sandbox) -> None:
    assert told(nself, "payment-method", "decline-reason", "stolen_card")["retry"] == "no, look at the customer first"
    assert "No such PaymentMethod" in refused(nself, "payment-method", "decline-reason", "pm_123", code=4)
    customer = sandbox.paying_customer("pm_card_chargeCustomerFail")
    [method] = [one["id"] for one in sandbox.listed(f"customers/{customer}/payment_methods")]
    nothing = nself("billing", "payment-method", "decline-reason", method)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    subscription = sandbox.subscribe(customer, sandbox.monthly_price())
    assert subscription["status"] == "incomplete"
    declined = told(nself, "payment-method", "decline-reason", method)
    assert (declined["code"], declined["customer"], declined["retry"]) == ("generic_decline", customer, "yes, later")


def test_without_stripe_reads_degrade_when_told_and_changes_leave_nothing(nself: Nself, engine: Engine) -> None:
    customer = told(nself, "customer", "create", "--email", "a@example.com")["customer"]
    away = {"STRIPE_API_BASE": "http://127.0.0.1:1", "STRIPE_MAX_RETRIES": "0"}
    assert "no answer from Stripe" in refused(nself, "customer", "show", customer, "--compare", code=5, **away)
    degraded = nself("billing", "customer", "show", customer, "--compare", **away, BILLING_GRACEFUL_DEGRADATION="true")
    assert (degraded.returncode, customer in degraded.stdout) == (0, True)
    assert "mirror's word alone" in degraded.stderr
    said = refused(nself, "customer", "update", customer, "--email", "b@example.com", code=5, **away)
    assert "nothing was changed" in said
    assert told(nself, "intent", "list") == []
    [failed] = told(nself, "intent", "list", "--status", "failed")
    assert told(nself, "intent", "show", failed["intent"])["sent"]["body"] == {"email": "b@example.com"}
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM billing_intents WHERE finished_at IS NULL")).scalar() == 0


def test_calls_of_all_processes_are_counted(nself: Nself) -> None:
    told(nself, "product", "create", "--name", "Counted")
    rows = {row["operation"]: row["calls"] for row in told(nself, "metrics", "requests", "--last", "1h")}
    assert rows == {"account.read": 1, "products.create": 1}
    shared = told(nself, "stripe", "show-rate")["all_processes"]
    assert (shared["calls_last_hour"], shared["by_priority"], shared["open_circuits"]) == (2, {"interactive": 2}, {})


def test_tax_is_described(nself: Nself, sandbox: Sandbox) -> None:
    rate = sandbox.api("POST", "tax_rates", display_name="VAT", percentage=19, inclusive=False)["id"]
    assert [row["tax_rate"] for row in told(nself, "tax", "list-rates")] == [rate]
    assert told(nself, "tax", "show-config")["calculation"] == "none"
