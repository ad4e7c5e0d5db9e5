"""Forensics as an operator types them: order, rebuild, duplicates, slow events, replays from Stripe and with mail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from billing_worker.database.clock import DatabaseClock
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.clock import Clock
from billing_worker.routing.table import DISPATCHER
from tests.cli.nself import Nself, WarmNself
from tests.support.deliveries import customer, drain, event, store
from tests.support.stripe_sandbox import KEY, Sandbox, run_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def nself(tmp_path: Path, database_url: str, redis_url: str, sandbox: Sandbox) -> Nself:
    variables = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_API_BASE": sandbox.url,
    }
    return WarmNself(tmp_path, variables)


def ask(nself: Nself, *arguments: str, code: int = 0, **variables: str) -> Any:
    done = nself("billing", *arguments, "--json", **variables)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def apply(engine: Engine, *events: dict[str, Any], clock: Clock) -> None:
    store(engine, events, clock.now())
    drain(UnitOfWork(engine, clock, statement_timeout=timedelta(seconds=30)), DISPATCHER)


def change(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_a_customer_is_followed_rebuilt_and_replayed(nself: Nself, engine: Engine, sandbox: Sandbox) -> None:
    clock = DatabaseClock(engine)
    made = sandbox.api("POST", "customers", name="first")
    sandbox.api("POST", f"customers/{made['id']}", name="second")
    created, updated = sandbox.listed("events", type="customer.created") + sandbox.listed(
        "events", type="customer.updated"
    )
    apply(engine, updated, created, clock=clock)
    shown = ask(nself, "webhook", "show-order", "--object", made["id"])
    assert [(row["position"], row["event_id"], row["is_state"]) for row in shown] == [
        (1, created["id"], False),
        (2, updated["id"], True),
    ]
    assert {row["decided_by"] for row in shown} <= {"chain", "alone"}
    assert nself("billing", "webhook", "show-order", "--object", "cus_none").returncode == 4

    assert ask(nself, "customer", "rebuild-state", made["id"])["differences"] == []
    change(engine, "UPDATE billing_customers SET currency = 'eur'")
    found = ask(nself, "customer", "rebuild-state", made["id"], code=1)
    assert [(one["field"], one["log"], one["mirror"]) for one in found["differences"]] == [
        ("column.currency", None, "eur")
    ]
    away = nself("billing", "customer", "rebuild-state", made["id"], STRIPE_API_BASE="http://127.0.0.1:1")
    assert (away.returncode, "unknown: " in away.stdout, "column.currency" in away.stdout) == (1, True, True)
    assert ask(nself, "customer", "rebuild-state", made["id"], "--execute")["differences"] == []
    sandbox.api("POST", f"customers/{made['id']}", name="third")
    refused = nself("billing", "customer", "rebuild-state", made["id"], "--execute")
    assert (refused.returncode, "webhook certify --since 30d" in refused.stderr) == (3, True)

    # The third name's event never came, and the first one's body is pruned.
    change(engine, "DELETE FROM billing_webhook_payloads WHERE event_row_id = 2")
    third = sandbox.listed("events", type="customer.updated")[-1]
    assert ask(nself, "webhook", "replay", created["id"], code=1) == {
        "replayed": 0,
        "already_pending": 0,
        "lanes": 0,
        "left_out": {"pruned": 1},
    }
    fetched = ask(nself, "webhook", "replay", created["id"], third["id"], "evt_gone", "--from-stripe", code=1)
    assert {name: fetched[name] for name in ("replayed", "fetched", "restored", "gone_at_stripe")} == {
        "replayed": 1,
        "fetched": 1,
        "restored": 1,
        "gone_at_stripe": ["evt_gone"],
    }
    apply(engine, clock=clock)
    assert ask(nself, "customer", "rebuild-state", made["id"])["differences"] == []


def test_mail_goes_again_with_a_reason_and_money_never(nself: Nself, engine: Engine) -> None:
    clock = DatabaseClock(engine)
    at = int(clock.now().timestamp())
    invoice = {"id": "in_1", "object": "invoice", "customer": "cus_1", "status": "paid", "currency": "usd"}
    charge = {"id": "ch_1", "object": "charge", "status": "succeeded", "amount": 9, "currency": "usd", "created": at}
    paid = event("invoice.paid", {**invoice, "amount_paid": 9}, event_id="evt_paid", created=at)
    charged = event("charge.succeeded", {**charge, "captured": True}, event_id="evt_charged", created=at)
    apply(engine, paid, charged, clock=clock)
    change(engine, "UPDATE billing_effects SET status = 'done'")
    [plan] = ask(nself, "webhook", "replay", "evt_paid", "--dry-run")
    assert {one["fate"] for one in plan["effects"]} == {"is not repeated"}
    [plan] = ask(nself, "webhook", "replay", "evt_paid", "--dry-run", "--with-effects")
    assert sorted((one["kind"], one["fate"]) for one in plan["effects"]) == [
        ("dunning.settle", "is not repeated"),
        ("mail.invoice_paid", "happens again, under a key of its own"),
    ]
    assert nself("billing", "webhook", "replay", "evt_paid", "--with-effects").returncode == 2
    why = ("--with-effects", "--reason", "lost")
    done = ask(nself, "webhook", "replay", "evt_paid", *why)
    assert done["effects_again"] == ["mail:invoice_paid:in_1:paid#replay1"]
    money = nself("billing", "webhook", "replay", "evt_charged", *why)
    assert (money.returncode, "payments.record_transaction" in money.stderr) == (3, True)
    with engine.connect() as connection:
        trail = connection.execute(text("SELECT outcome, reason FROM billing_operator_actions ORDER BY id")).all()
    assert [tuple(row) for row in trail] == [("done", "lost"), ("refused", "lost")]


def test_duplicates_and_slow_events_are_listed_and_marked(nself: Nself, engine: Engine) -> None:
    clock = DatabaseClock(engine)
    one = event("customer.created", customer("cus_1"), event_id="evt_1", created=int(clock.now().timestamp()))
    apply(engine, one, {**one, "account": "acct_1"}, clock=clock)
    assert ask(nself, "webhook", "check-duplicates", code=1)["under_two_accounts"] == ["evt_1"]
    assert nself("billing", "webhook", "deduplicate").returncode == 2
    [row] = ask(nself, "webhook", "deduplicate", "--dry-run", code=1)
    assert (row["event_id"], row["account_id"], row["first_account_id"]) == ("evt_1", "acct_1", "")
    assert ask(nself, "webhook", "deduplicate", "--execute") == {"marked": 1, "effects_stopped": 0}
    assert ask(nself, "webhook", "deduplicate", "--dry-run") == []
    assert ask(nself, "webhook", "check-duplicates")["under_two_accounts"] == []
    assert ask(nself, "webhook", "slow", "--threshold", "1h") == []
    change(engine, "UPDATE billing_webhook_events SET waited_ms = 7200000 WHERE id = 1")
    [slow] = ask(nself, "webhook", "slow", "--threshold", "1h", code=1)
    assert (slow["event_id"], slow["waited_ms"], slow["status"]) == ("evt_1", 7_200_000, "applied")


def test_a_certificate_heals_dropped_deliveries_and_is_not_written_while_stripe_refuses(
    nself: Nself, engine: Engine, sandbox: Sandbox
) -> None:
    for number in range(3):
        sandbox.api("POST", "customers", name=f"dropped {number}")
    sandbox.advance(hours=2)
    events = sandbox.listed("events")
    apply(engine, *events[::2], clock=DatabaseClock(engine))
    for fault in ("rate_limit", "error_before"):
        sandbox.control("faults", {"kind": fault, "path": "/v1/events", "count": 0})
        refused = nself("billing", "webhook", "certify", STRIPE_MAX_RETRIES="0")
        assert refused.returncode == 5, refused.stderr
        sandbox.control("faults/clear", {})
        assert ask(nself, "webhook", "certificates") == []
    healed = ask(nself, "webhook", "certify", code=1)
    assert (healed["events"], healed["missing"], healed["healed"]) == (len(events), *[len(events[1::2])] * 2)
    apply(engine, clock=DatabaseClock(engine))
    again = ask(nself, "webhook", "certify", "--since", "3h")
    assert (again["events"], again["missing"], again["statuses"]) == (len(events), 0, {"applied": len(events)})
    # Outside reconciliation: the table has exactly Stripe's events, type by type.
    with engine.connect() as connection:
        table = connection.execute(text("SELECT type, count(*) FROM billing_webhook_events GROUP BY 1")).all()
    assert {kind: count for kind, count in table} == again["counts"]  # noqa: C416 - dict() is untyped
