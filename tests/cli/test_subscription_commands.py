"""The guide's sections on subscriptions, command by command, against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
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
    done = nself("billing", "subscription", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def refused(nself: Nself, *arguments: str) -> tuple[int, str]:
    done = nself("billing", "subscription", *arguments)
    assert done.stdout == ""
    return done.returncode, done.stderr.strip()


def test_a_subscription_from_creation_to_its_end(nself: Nself, sandbox: Sandbox, session: Session) -> None:
    customer, price, dearer = sandbox.paying_customer(), sandbox.monthly_price(1000), sandbox.monthly_price(3000)

    planned = told(nself, "create", "--customer", customer, "--price", price, "--dry-run")
    assert planned["would_call"] == "POST /v1/subscriptions"
    made = told(nself, "create", "--customer", customer, "--price", price)
    sub = made["subscription"]
    assert (made["status"], made["mirrored"], made["items"][0]["price"]) == ("active", True, price)
    assert rows(session, "SELECT id, status, price_id FROM billing_subscriptions") == [(sub, "active", price)]

    shown = nself("billing", "subscription", "show", sub)
    assert {"status", "trial_end", "cancel_at", "items"} <= {line.split()[0] for line in shown.stdout.splitlines()}
    assert told(nself, "show", sub, "--compare-stripe")["differences"] == {}
    assert told(nself, "compare", sub)["differences"] == {}
    assert [one["id"] for one in told(nself, "list", "--test-mode", "--status", "active")] == [sub]
    rules = {rule["rule"]: (rule["value"], rule["set_by"]) for rule in told(nself, "show-config", sub)}
    assert rules["proration_behavior"] == ("create_prorations", "setting STRIPE_PRORATION_BEHAVIOR")

    # half a month later the price is raised: what was previewed is what is billed
    sandbox.advance(days=14)
    at = str(int(sandbox.now().timestamp()))
    simulated = told(nself, "simulate-change", "--subscription", sub, "--new-price", dearer, "--proration-date", at)
    previewed = told(nself, "preview-change", "--subscription", sub, "--new-price", dearer, "--proration-date", at)
    assert simulated["next_invoice_before_minor"] == 1000
    assert simulated["next_invoice_after_minor"] == previewed["amount_due_minor"]
    assert previewed["amount_due_minor"] == 3000 + previewed["proration_minor"]
    assert 0 < previewed["proration_minor"] < 2000
    changed = told(nself, "update", sub, "--price", dearer, "--proration-date", at)
    assert changed["items"][0]["price"] == dearer
    pending = told(nself, "prorations", sub)
    assert [(line["invoice"], line["differs"]) for line in pending] == [("next", False), ("next", False)]
    assert sum(line["amount_minor"] for line in pending) == previewed["proration_minor"]
    assert all(line["expected_minor"] is not None for line in told(nself, "recalculate", sub))
    sandbox.advance(days=20)
    [renewal, _] = sandbox.api("GET", "invoices", subscription=sub)["data"]
    assert (renewal["total"], renewal["billing_reason"]) == (previewed["amount_due_minor"], "subscription_cycle")

    assert told(nself, "cancel", sub)["cancel_at_period_end"] is True
    assert refused(nself, "cancel", sub) == (
        3,
        f"subscription {sub} ends with its period already; nothing was changed",
    )
    assert told(nself, "cancel", sub, "--undo")["cancel_at_period_end"] is False
    assert told(nself, "cancel", sub, "--immediate")["status"] == "canceled"
    code, said = refused(nself, "update", sub, "--price", price)
    assert (code, f"subscription {sub} is canceled" in said) == (3, True)
    assert rows(session, "SELECT count(*) FROM billing_intents WHERE status <> 'succeeded'") == [(0,)]
    moments = told(nself, "timeline", sub)
    assert [moment["status"] for moment in moments][-1] == "canceled"


def test_a_first_payment_that_fails_is_completed_or_sent_to_the_customer(nself: Nself, sandbox: Sandbox) -> None:
    price = sandbox.monthly_price()
    poor = sandbox.paying_customer("pm_card_chargeCustomerFail")
    made = told(nself, "create", "--customer", poor, "--price", price, code=1)
    assert (made["status"], made["needs"], made["decline_code"]) == ("incomplete", "payment_method", "generic_decline")
    looked = told(nself, "complete", made["subscription"], code=1)
    assert looked["status"] == "incomplete"
    again = told(nself, "complete", made["subscription"], "--force", code=1)
    assert (again["status"], again["needs"]) == ("incomplete", "payment_method")
    sandbox.use_method(poor, "pm_card_visa")
    completed = told(nself, "complete", made["subscription"], "--force")
    assert (completed["status"], completed["mirrored"]) == ("active", True)

    careful = sandbox.paying_customer("pm_card_authenticationRequired")
    waits = nself("billing", "subscription", "create", "--customer", careful, "--price", price)
    assert waits.returncode == 1
    assert "3-D Secure" in waits.stderr
    assert "http" in waits.stderr


def test_trials_end_when_told(nself: Nself, sandbox: Sandbox) -> None:
    customer, price = sandbox.paying_customer(), sandbox.monthly_price()
    by_days = told(nself, "create", "--customer", customer, "--price", price, "--trial-days", "14")
    assert by_days["status"] == "trialing"
    day = datetime(sandbox.now().year + 1, 2, 14, tzinfo=UTC)
    nself = WarmNself(nself.folder, {**nself.variables, "BILLING_TIMEZONE": "Asia/Kolkata"})
    by_date = told(nself, "create", "--customer", customer, "--price", price, "--trial-end", f"{day:%Y-%m-%d}")
    assert datetime.fromisoformat(by_date["trial_end"]) == datetime(day.year, 2, 13, 18, 30, tzinfo=UTC)
    later = told(nself, "update", by_days["subscription"], "--trial-end", f"{day:%Y-%m-%d}")
    assert later["trial_end"] == by_date["trial_end"]
    code, said = refused(nself, "create", "--customer", customer, "--price", price, "--trial-end", "2020-01-01")
    assert (code, "is past" in said, "2027-02-14" in said) == (2, True, True)


def test_refusals_name_what_is_wrong_and_leave_nothing(nself: Nself, sandbox: Sandbox, session: Session) -> None:
    price = sandbox.monthly_price()
    assert refused(nself, "show", "sub_unknown")[0] == 4
    assert "subscription import sub_unknown" in refused(nself, "show", "sub_unknown")[1]
    code, said = refused(nself, "import", "sub_unknown")
    assert (code, "No such subscription" in said) == (4, True)
    code, said = refused(nself, "create", "--customer", "cus_unknown", "--price", price)
    assert (code, "No such customer" in said) == (4, True)
    customer = sandbox.paying_customer()
    foreign = sandbox.subscribe(customer, price)["id"]
    assert told(nself, "import", foreign)["mirrored"] is True
    assert refused(nself, "update", foreign)[0] == 2
    assert refused(nself, "cancel", foreign, "--prorate")[0] == 3
    assert rows(session, "SELECT count(*) FROM billing_intents WHERE status NOT IN ('failed', 'withdrawn')") == [(0,)]
    assert len(sandbox.listed("subscriptions", customer=customer)) == 1
