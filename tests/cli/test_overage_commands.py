"""`nself billing overage` and the overage commands of quotas and invoices, as an operator types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.clock import FixedClock
from billing_worker.runtime.settings import Settings
from tests.cli.nself import Nself, WarmNself
from tests.support.overage import Shop, open_shop
from tests.support.stripe_sandbox import KEY, Sandbox, run_sandbox

USER = ("--user", "user123")
CALCULATE = ("quota", "calculate-overage", *USER, "--actual-usage", "1500", "--quota-limit", "1000")
UPDATE = ("overage", "update", *USER, "--usage", "1500", "--quota", "1000", "--rate")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def shop(
    sandbox: Sandbox, settings: Settings, engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock, redis: Redis
) -> Shop:
    return open_shop(sandbox, settings, engine, unit_of_work, clock, redis)


@pytest.fixture
def nself(tmp_path: Path, settings: Settings, sandbox: Sandbox) -> Nself:
    return WarmNself(
        tmp_path,
        {
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_API_BASE": sandbox.url,
        },
    )


def told(nself: Nself, *arguments: str, code: int = 0) -> Any:
    done = nself("billing", *arguments, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def refused(nself: Nself, *arguments: str, code: int) -> str:
    done = nself("billing", *arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stdout + done.stderr
    return done.stderr


def test_overage_from_preview_to_invoice_and_its_corrections(nself: Nself, shop: Shop, engine: Engine) -> None:
    assert "quota set --user user123" in refused(nself, "quota", "show-overage", *USER, code=4)
    [unpriced] = told(nself, *CALCULATE)
    assert (unpriced["units"], unpriced["amount_minor"]) == (500, None)
    assert "price create --type overage" in unpriced["why_not"]
    assert "0.10" in refused(nself, *CALCULATE, "--rate", "ten", code=2)

    shop.subscriber()
    price = shop.overage_price()["id"]
    shop.limit(1000)
    shop.use(1500)
    shop.catch_up()
    [calculated] = told(nself, *CALCULATE)
    assert (calculated["metric"], calculated["amount_minor"], calculated["price"]) == ("api_calls", 5000, price)
    assert told(nself, *CALCULATE, "--rate", "0.25")[0]["amount_minor"] == 12_500
    [preview] = told(nself, "quota", "show-overage", *USER)
    assert (preview["status"], preview["units"], preview["amount_minor"]) == ("open", 500, 5000)

    draft = shop.end_period()
    shop.compute()
    assert told(nself, *UPDATE, "0.20")[0]["amount_minor"] == 10_000
    [again] = told(nself, "overage", "recalculate", *USER)
    assert (again["action"], again["before_minor"], again["after_minor"]) == ("rewritten", 10_000, 5000)
    assert told(nself, "overage", "recalculate", *USER)[0]["action"] == "unchanged"
    shop.bill()
    shop.catch_up()
    [audited] = told(nself, "overage", "audit", *USER)
    assert (audited["at_stripe_minor"], audited["records_say"], audited["problems"]) == (5000, 1500, None)

    assert "--reason" in refused(nself, *UPDATE, "0.08", code=3)
    [credit] = told(nself, *UPDATE, "0.08", "--reason", "agreed rate")
    assert (credit["kind"], credit["status"], credit["amount_minor"]) == ("adjustment", "computed", -1000)
    shop.bill()
    shop.catch_up()
    assert shop.items() == [(5000, draft), (-1000, draft)]
    lines = told(nself, "invoice", "show", *USER, "--show-overage")["lines"]
    assert sorted(line["amount_minor"] for line in lines) == [-1000, 5000]
    assert [row["problems"] for row in told(nself, "overage", "audit", *USER)] == [None, None]
    assert told(nself, "overage", "recalculate", *USER)[0]["action"] == "unchanged"

    past = [row for row in told(nself, "quota", "show-overage", *USER) if row["status"] != "open"]
    assert [(row["amount_minor"], row["invoice"]) for row in past] == [(5000, draft), (-1000, draft)]
    tried = told(nself, "overage", "what-if", "--metric", "api_calls", "--rate", "0.05")
    assert [(row["user"], row["units"], row["charged_minor"], row["would_be_minor"]) for row in tried] == [
        ("user123", 500, 4000, 2500)
    ]
    trial = nself.folder / "trial.yml"
    trial.write_text("a: {metric: api_calls, currency: usd, unit_amount: 1, cap: 300}")
    [capped] = told(nself, "overage", "what-if", "--metric", "api_calls", "--file", str(trial))
    assert (capped["would_be_minor"], capped["difference_minor"]) == (300, -3700)
    assert "--rate" in refused(nself, "overage", "what-if", "--metric", "api_calls", code=2)
    shown = nself("billing", "quota", "show-overage", *USER).stdout
    assert "units 500 x 10 = 5000" in shown
    with engine.begin() as connection:
        connection.execute(text("UPDATE billing_overages SET amount_minor = 4999 WHERE kind = 'period'"))
    [tampered, _] = told(nself, "overage", "audit", *USER, code=1)
    assert "its inputs give 5000" in tampered["problems"]


def test_a_credit_for_records_that_went_away_needs_a_reason(nself: Nself, shop: Shop, engine: Engine) -> None:
    shop.subscriber()
    shop.overage_price()
    shop.limit(1000)
    shop.use(1500)
    shop.end_period()
    shop.compute()
    shop.bill()
    with engine.begin() as connection:
        for table in ("billing_usage_hourly", "billing_usage_daily", "billing_usage_monthly"):
            connection.execute(text(f"UPDATE {table} SET sum_value = sum_value - 300"))  # noqa: S608 - of the line above
        connection.execute(text("UPDATE billing_usage SET value = value - 300"))
    [waiting] = told(nself, "overage", "recalculate", *USER, code=1)
    assert (waiting["before_minor"], waiting["after_minor"]) == (5000, 2000)
    [planned] = told(nself, "overage", "recalculate", *USER, "--reason", "counted twice", "--dry-run")
    assert (planned["action"], planned["after_minor"]) == ("adjusted", 2000)
    assert shop.rows() == [("billed", 500, 5000)]
    told(nself, "overage", "recalculate", *USER, "--reason", "counted twice")
    assert shop.rows() == [("billed", 500, 5000), ("computed", -300, -3000)]
