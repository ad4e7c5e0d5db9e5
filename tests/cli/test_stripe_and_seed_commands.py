"""`nself billing seed`, `test-data`, `test…` and `stripe` as an operator types them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.nself import Nself, WarmNself
from tests.support.stripe_sandbox import KEY, Sandbox, run_sandbox

LONG_KEY = "sk_test_0123456789abcdefghijklmn"
SEEDED = [
    {"kind": "customers", "made_by": "seed", "count": 6},
    {"kind": "subscriptions", "made_by": "seed", "count": 6},
    {"kind": "invoices", "made_by": "seed", "count": 6},
    {"kind": "prices", "made_by": "seed", "count": 3},
]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def nself(tmp_path: Path, sandbox: Sandbox) -> Nself:
    return WarmNself(tmp_path, {"STRIPE_SECRET_KEY": KEY, "STRIPE_API_BASE": sandbox.url})


def told(nself: Nself, *arguments: str, code: int = 0, environ: Mapping[str, str] | None = None) -> Any:
    done = nself("billing", *arguments, "--json", **(environ or {}))
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_seeds_are_made_once_counted_and_cleared(nself: Nself, sandbox: Sandbox) -> None:
    own = sandbox.api("POST", "customers", name="not a seed")["id"]
    assert nself("billing", "seed", "status").stderr == "nothing is seeded: `nself billing seed run`\n"
    created = {"prices": 3, "customers": 6, "subscriptions": 6, "invoices": 6}
    assert told(nself, "seed", "run") == [
        {"kind": kind, "created": count, "already_there": 0} for kind, count in created.items()
    ]
    before = sandbox.control("deliveries")["events"]
    assert {row["created"] for row in told(nself, "seed", "run")} == {0}
    assert sandbox.control("deliveries")["events"] == before
    assert told(nself, "seed", "status") == SEEDED
    statuses = sorted(subscription["status"] for subscription in sandbox.listed("subscriptions", status="all"))
    assert statuses == ["active"] * 4 + ["incomplete", "trialing"]
    one_off = [invoice for invoice in sandbox.listed("invoices") if invoice["billing_reason"] == "manual"]
    assert sorted(invoice["status"] for invoice in one_off) == ["open"] * 2 + ["paid"] * 4

    refused = nself("billing", "seed", "clear")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "add --confirm" in refused.stderr
    assert told(nself, "seed", "status") == SEEDED
    open_invoices = len(sandbox.listed("invoices", status="open"))
    assert told(nself, "seed", "clear", "--confirm") == {
        "customers_deleted": 6,
        "invoices_voided": open_invoices,
        "prices_archived": 3,
        "products_archived": 3,
    }
    assert [customer["id"] for customer in sandbox.listed("customers")] == [own]
    assert sandbox.listed("invoices", status="open") == []
    assert {subscription["status"] for subscription in sandbox.listed("subscriptions", status="all")} == {"canceled"}


def test_parts_are_seeded_with_what_they_need(nself: Nself) -> None:
    made = {"created": 6, "already_there": 0}
    assert told(nself, "seed", "subscriptions") == made
    assert told(nself, "seed", "customers") == {"created": 0, "already_there": 6}
    assert told(nself, "seed", "invoices") == made
    assert told(nself, "seed", "status") == SEEDED
    told(nself, "seed", "clear", "--confirm")
    assert told(nself, "seed", "run")[0] == {"kind": "prices", "created": 0, "already_there": 3}
    assert SEEDED[3] in told(nself, "seed", "status")


def test_made_up_customers_come_in_the_numbers_asked_for(nself: Nself, sandbox: Sandbox) -> None:
    numbers = {"customers": 4, "subscriptions": 3, "invoices": 5}
    words = [word for name, count in numbers.items() for word in (f"--{name}", str(count))]
    assert told(nself, "test-data", "create", *words) == numbers
    assert len(sandbox.listed("customers")) == 4
    assert [found["status"] for found in sandbox.listed("subscriptions")] == ["active"] * 3
    paid = [invoice for invoice in sandbox.listed("invoices", status="paid") if invoice["billing_reason"] == "manual"]
    assert sorted(invoice["amount_paid"] for invoice in paid) == [500, 600, 700, 800, 900]
    nobody = nself("billing", "test-data", "create", "--customers", "0", "--invoices", "1")
    assert (nobody.returncode, nobody.stdout) == (2, "")


@pytest.mark.parametrize(
    ("card", "outcome"),
    [
        ("4242424242424242", "succeeded"),
        ("4000000000000002", "generic_decline"),
        ("4000000000009995", "insufficient_funds"),
        ("4000002500003155", "requires_action"),
    ],
)
def test_the_cards_of_the_guide_do_what_they_stand_for(nself: Nself, sandbox: Sandbox, card: str, outcome: str) -> None:
    trial = told(nself, "test-payment", "--card", card, "--amount", "1000", "--exp", "12/34", "--cvc", "123")
    assert (trial["card"], trial["outcome"], trial["expected"]) == (f"…{card[-4:]}", outcome, outcome)
    (intent,) = sandbox.listed("payment_intents")
    assert (intent["id"], intent["amount"], intent["currency"]) == (trial["payment_intent"], 1000, "usd")
    noted = (nself.home / "logs" / "operator.log").read_text()
    assert "nself billing test-payment" in noted
    assert card not in noted


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--card", "4111111111111111"), 3, "none of Stripe's test cards"),
        (("--card", "visa"), 2, "a card is digits"),
        (("--exp", "13/30"), 2, "is no expiry"),
        (("--cvc", "12"), 2, "three or four digits"),
        (("--amount", "0"), 2, "--amount"),
        (("--exp", "01/20"), 1, "expiration year is invalid"),
    ],
)
def test_a_payment_that_cannot_be_made_is_not_sent(
    nself: Nself, sandbox: Sandbox, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = nself("billing", "test-payment", *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert sandbox.listed("payment_intents") == []


def test_the_sandbox_is_proved_and_left_as_it_was(nself: Nself, sandbox: Sandbox) -> None:
    steps = told(nself, "test", "--use-mock")
    assert [step["passed"] for step in steps] == [True] * 9
    assert sandbox.listed("customers") == []
    assert {price["active"] for price in sandbox.listed("prices")} == {False}
    broken = {"kind": "error_before", "method": "POST", "path": "/v1/subscriptions"}
    sandbox.control("faults", broken)
    unknown = nself("billing", "test", "--use-mock")
    assert unknown.returncode == 5
    assert sandbox.listed("customers") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("seed", "run"),
        ("seed", "status"),
        ("seed", "clear", "--confirm"),
        ("test-data", "create", "--customers", "1"),
        ("test-payment",),
        ("test",),
    ],
    ids=" ".join,
)
def test_live_mode_is_refused_before_anything_is_sent(
    nself: Nself, sandbox: Sandbox, arguments: tuple[str, ...]
) -> None:
    live = {"STRIPE_MODE": "live", "STRIPE_SECRET_KEY": LONG_KEY.replace("test", "live")}
    refused = nself("billing", *arguments, **live)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "STRIPE_MODE is live" in refused.stderr
    assert sandbox.control("deliveries")["events"] == 0


def test_the_mock_is_not_sought_at_stripe(nself: Nself) -> None:
    refused = nself("billing", "test", "--use-mock", STRIPE_API_BASE="https://api.stripe.com")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "no sandbox" in refused.stderr


def test_mode_and_settings_are_shown_without_secrets(nself: Nself, sandbox: Sandbox) -> None:
    secrets = {"STRIPE_SECRET_KEY": LONG_KEY, "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdefghij,whsec_short"}
    mode = {"mode": "test", "key_is_for": "test", "real_money": False, "stripe_is": "sandbox", "api_base": sandbox.url}
    assert told(nself, "stripe", "show-mode", environ=secrets) == mode
    shown = told(nself, "stripe", "show-config", environ=secrets)
    assert shown | mode == shown
    assert (shown["secret_key"], shown["webhook_secrets"]) == ("sk_test_***klmn", ["whsec_***ghij", "whsec_***"])
    live = {"STRIPE_MODE": "live", "STRIPE_SECRET_KEY": LONG_KEY.replace("test", "live")}
    real = told(nself, "stripe", "show-mode", environ=live | {"STRIPE_API_BASE": "https://api.stripe.com"})
    assert (real["real_money"], real["stripe_is"], real["key_is_for"]) == (True, "real", "live")


def test_connection_and_key_are_proved(nself: Nself, sandbox: Sandbox) -> None:
    account = sandbox.api("GET", "account")["id"]
    answered = told(nself, "stripe", "test-connection")
    assert (answered["answers"], answered["stripe_is"]) == (True, "sandbox")
    assert answered["request_id"].startswith("req_")
    assert answered["took_ms"] > 0
    assert told(nself, "stripe", "test-key")["account"] == account
    sandbox.control("faults", {"kind": "key_revoked", "count": 0})
    revoked = nself("billing", "stripe", "test-key")
    assert (revoked.returncode, revoked.stdout) == (1, "")
    assert "Expired API Key" in revoked.stderr
    away = nself("billing", "stripe", "test-connection", STRIPE_API_BASE="http://127.0.0.1:1")
    assert (away.returncode, away.stdout) == (5, "")


def test_calls_are_counted_in_the_logs(nself: Nself) -> None:
    now = datetime.now(UTC)
    lines = [
        {"timestamp": (now - timedelta(minutes=minutes)).isoformat(), "event": "stripe_call", "status": status}
        for minutes, status in ((90, 200), (30, 200), (30, 429), (30, 200), (0, 200), (0, 429))
    ] + [{"timestamp": now.isoformat(), "event": "something_else", "about": "stripe_call"}]
    logs = nself.home / "logs"
    logs.mkdir(parents=True)
    (logs / "worker-billing.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rate = told(nself, "stripe", "show-rate")
    assert (rate["calls_last_hour"], rate["refused_last_hour"], rate["per_second_now"]) == (5, 2, 0.03)
    assert rate["per_second_most"] == 3
    limits = told(nself, "stripe", "rate-limits")
    assert limits[0] == {"limit": "all calls", "per_second": 25, "our_budget": 20, "used_at_most": 3}
    assert [row["per_second"] for row in limits] == [25, 25, 20, 1000]


def test_stripe_database_and_redis_are_reached(nself: Nself, database_url: str, redis_url: str) -> None:
    servers = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    components = [("database", "round_trip"), ("redis", "ping"), ("stripe", "account")]
    found = told(nself, "test-connection", environ=servers)
    assert [(row["component"], row["check"], row["verdict"]) for row in found] == [(*each, "ok") for each in components]
    nowhere = servers | {"STRIPE_API_BASE": "http://127.0.0.1:1"}
    away = told(nself, "test-connection", code=1, environ=nowhere)
    assert [row["verdict"] for row in away] == ["ok", "ok", "failed"]
