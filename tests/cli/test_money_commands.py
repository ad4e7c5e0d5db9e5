"""`nself billing reconcile`, `payments`, `transactions` and the payment queue as an operator types them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.clock import FixedClock
from billing_worker.routing.table import DISPATCHER
from tests.cli.nself import Nself, WarmNself
from tests.support.deliveries import drain
from tests.support.stripe_sandbox import KEY, Sandbox, bring_events, follow, run_sandbox

FAILURES = text(
    "INSERT INTO billing_payment_retries (invoice_id, failed_at, attempt_count, customer_id, amount_minor, currency,"
    " decline_code, decision, explanation, due_at, status, planned_at) VALUES"
    " ('in_1', '2026-03-01', 1, 'cus_1', 900, 'usd', 'lost_card', 'wait_for_customer', 'because', NULL, 'waiting',"
    " '2026-03-01'),"
    " ('in_2', '2026-03-02', 1, 'cus_2', 500, 'jpy', NULL, 'retry', 'soon', '2026-03-03', 'waiting', '2026-03-02')"
)
MOVEMENTS = text(
    "INSERT INTO billing_transactions (transaction_key, kind, stripe_id, charge_id, customer_id, amount_minor,"
    " currency, livemode, occurred_at, recorded_at) VALUES"
    " ('charge:ch_1', 'charge', 'ch_1', 'ch_1', 'cus_1', 900, 'usd', false, '2026-03-01', '2026-03-01'),"
    " ('refund:re_1', 'refund', 're_1', 'ch_1', NULL, 500, 'jpy', true, '2026-03-02', '2026-03-02')"
)
QUEUED = text(
    "INSERT INTO billing_payment_queue"
    " (payment_key, customer_id, amount_minor, currency, parameters, status, queued_at, finished_at, detail)"
    " VALUES (:key, :customer, 700, 'usd', CAST(:parameters AS jsonb), :status, now(), :at, :why)"
)


@pytest.fixture
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


def test_a_comparison_finds_heals_and_comes_out_clean(
    nself: Nself, sandbox: Sandbox, engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    known: set[str] = set()
    sandbox.api("POST", "customers")
    bring_events(sandbox, engine, unit_of_work, DISPATCHER, known=known)
    lost = sandbox.api("POST", "customers")["id"]
    never = nself("billing", "reconcile", "status")
    assert (never.returncode, never.stdout) == (4, "")
    assert "nothing was compared yet" in never.stderr
    assert told(nself, "reconcile", "count", "--type", "customer", code=1) == [
        {"type": "customer", "here": 1, "at_stripe": 2}
    ]
    compared = told(nself, "sync", "compare", "--type", "customer", code=1)
    assert (compared["status"], compared["compared"], compared["differing"]) == ("done", 2, 1)

    healing = told(nself, "reconcile", "--batch-size", "1", "--type", "customer", code=1)
    assert (healing["compared"], healing["differing"], healing["healed"]) == (2, 1, 0)
    follow(clock, sandbox)
    drain(unit_of_work, DISPATCHER)
    [difference] = told(nself, "reconcile", "show-diff")
    assert (difference["object"], difference["kind"]) == (f"/customer/{lost}", "missing_here")
    assert difference["healed_at"] is not None
    status = told(nself, "reconcile", "status")
    assert (status["status"], status["missing_here"], status["healed"]) == ("done", 1, 1)
    assert told(nself, "reconcile")["differing"] == 0
    assert told(nself, "sync", "status")["last_differing"] == 0
    assert told(nself, "reconcile", "count", "--type", "customer") == [{"type": "customer", "here": 2, "at_stripe": 2}]
    with engine.connect() as connection:
        trail = connection.execute(text("SELECT command, outcome FROM billing_operator_actions ORDER BY id"))
        assert [tuple(row) for row in trail] == [
            ("nself billing sync compare", "differences"),
            ("nself billing reconcile", "differences"),
            ("nself billing reconcile", "done"),
        ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--resume",), 3, "no reconciliation was left incomplete"),
        (("--resume", "--start", "2026-01-01"), 2, "leave the other options out"),
        (("--start", "2026-02-01", "--end", "2026-01-01"), 2, "lies before"),
        (("--start", "yesterday"), 2, "2026-01-30"),
        (("--batch-size", "101"), 2, "1<=x<=100"),
        (("--type", "mandate"), 2, "cannot list mandate"),
    ],
)
def test_what_cannot_be_compared_is_refused(nself: Nself, arguments: tuple[str, ...], code: int, said: str) -> None:
    refused = nself("billing", "reconcile", *arguments)
    assert (refused.returncode, refused.stdout) == (code, "")
    assert said in refused.stderr


def test_days_bound_a_comparison_and_the_last_one_counts(nself: Nself, sandbox: Sandbox) -> None:
    sandbox.api("POST", "customers")
    today = sandbox.now().date().isoformat()
    for days, found in ((("--start", today, "--end", today), 1), (("--end", "2026-01-31"), 0)):
        compared = told(nself, "reconcile", "--type", "customer", "--dry-run", *days, code=min(found, 1))
        assert (compared["compared"], compared["differing"]) == (found, found)


def test_an_unreachable_stripe_leaves_the_comparison_incomplete(nself: Nself, sandbox: Sandbox) -> None:
    sandbox.api("POST", "customers")
    told(nself, "reconcile", "--type", "coupon")
    gone = nself("billing", "reconcile", STRIPE_API_BASE="http://127.0.0.1:9", STRIPE_MAX_RETRIES="0")
    assert (gone.returncode, gone.stdout) == (5, "")


def test_failures_and_movements_are_listed_newest_first(nself: Nself, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(FAILURES)
        connection.execute(MOVEMENTS)
    failures = told(nself, "payments", "failures")
    assert [(row["invoice"], row["decision"], row["decline_code"]) for row in failures] == [
        ("in_2", "retry", None),
        ("in_1", "wait_for_customer", "lost_card"),
    ]
    assert [row["invoice"] for row in told(nself, "payments", "failures", "--customer", "cus_1")] == ["in_1"]
    movements = told(nself, "transactions", "list", "--limit", "5")
    assert [(row["id"], row["kind"], row["amount"], row["mode"]) for row in movements] == [
        ("re_1", "refund", "500 JPY", "live"),
        ("ch_1", "charge", "9.00 USD", "test"),
    ]
    assert len(told(nself, "transactions", "list", "--limit", "1")) == 1
    assert [row["id"] for row in told(nself, "transactions", "list", "--customer", "cus_1")] == ["ch_1"]


def queue(engine: Engine, key: str, customer: str, **columns: Any) -> None:
    body = {"amount": 700, "currency": "usd", "customer": customer, "confirm": True, "payment_method": "pm_card_visa"}
    parameters: Mapping[str, Any] = {"operation": "payment_intents.create", "path": {}, "body": body}
    values = {"key": key, "customer": customer, "parameters": json.dumps(parameters)}
    with engine.begin() as connection:
        connection.execute(QUEUED, values | {"status": "queued", "at": None, "why": ""} | columns)


def test_the_queue_is_processed_once_and_proved_empty(nself: Nself, engine: Engine, sandbox: Sandbox) -> None:
    customer = sandbox.api("POST", "customers")["id"]
    queue(engine, "one", customer)
    queue(engine, "two", customer)
    assert told(nself, "verify-queue-empty", code=1) == {"waiting": 2, "is_empty": False}
    assert told(nself, "process-queue", "--dry-run") == {"waiting": 2}
    unanswered = nself("billing", "process-queue")
    assert (unanswered.returncode, unanswered.stdout) == (3, "")
    assert told(nself, "process-queue", "--batch-size", "1", "--yes") == {"waiting": 2, "done": 2}
    assert told(nself, "process-queue", "--yes") == {"waiting": 0}
    assert told(nself, "verify-queue-empty") == {"waiting": 0, "is_empty": True}
    assert [payment["status"] for payment in sandbox.listed("payment_intents")] == ["succeeded", "succeeded"]


def test_failed_queue_payments_are_listed_with_their_reason(nself: Nself, engine: Engine) -> None:
    queue(engine, "old", "cus_1", status="failed", at="2026-01-01", why="declined long ago")
    queue(engine, "new", "cus_1", status="failed", at="2026-03-01", why="declined")
    assert [row["payment"] for row in told(nself, "queue", "failures")] == ["new", "old"]
    [row] = told(nself, "queue", "failures", "--since", "2026-02-01")
    assert (row["payment"], row["reason"]) == ("new", "declined")


def test_one_customer_is_taken_over_with_what_belongs_to_it(nself: Nself, sandbox: Sandbox) -> None:
    customer = sandbox.paying_customer(name="Ada")
    subscription = sandbox.subscribe(customer, sandbox.monthly_price())["id"]
    planned = told(nself, "sync", "customer", customer, "--dry-run", code=1)
    assert {row["type"]: row["stood"] for row in planned} == dict.fromkeys(
        ("customer", "subscription", "payment_method", "invoice"), "missing"
    )
    taken = told(nself, "sync", "customer", customer)
    assert [row["mirrored"] for row in taken] == [True] * 4
    assert {row["stood"] for row in told(nself, "sync", "customer", customer)} == {"equal"}
    sandbox.api("POST", f"subscriptions/{subscription}", cancel_at_period_end=True)
    [renewed, _] = told(nself, "sync", "subscription", subscription)
    assert (renewed["stood"], "cancel_at_period_end" in renewed["fields"]) == ("differed", True)
    assert nself("billing", "sync", "customer", "cus_nobody").returncode == 4


def test_what_does_not_fit_and_what_hangs_in_the_air_is_found(
    nself: Nself, sandbox: Sandbox, engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    assert told(nself, "sync", "find-inconsistencies") == []
    assert told(nself, "sync", "find-orphaned") == []
    customer = sandbox.paying_customer(name="Ada")
    subscription = sandbox.subscribe(customer, sandbox.monthly_price())
    assert nself("billing", "subscription", "import", subscription["id"]).returncode == 0
    [access] = told(nself, "sync", "find-inconsistencies", code=1)
    assert (access["check"], access["object"]) == ("access_differs", subscription["id"])
    [orphan] = told(nself, "sync", "find-orphaned", code=1)
    assert (orphan["check"], orphan["mend"]) == (
        "subscription_without_customer",
        f"nself billing customer import {customer}",
    )
    assert nself("billing", "sync", "all").returncode == 2
    compared = told(nself, "sync", "all", "--dry-run", code=1)
    assert compared["differing"] > 0
    one_sided = [one for one in told(nself, "sync", "find-orphaned", code=1) if one["check"] == "missing_here"]
    assert customer in {one["object"] for one in one_sided}
    told(nself, "sync", "all", "--execute", code=1)
    follow(clock, sandbox)
    drain(unit_of_work, DISPATCHER)
    with engine.begin() as connection:
        connection.execute(text("UPDATE billing_invoices SET amount_remaining_minor = 5 WHERE status = 'paid'"))
    found = told(nself, "sync", "find-inconsistencies", code=1)
    assert {"paid_with_rest"} <= {one["check"] for one in found}
