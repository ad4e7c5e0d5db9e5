"""Secrets, endpoints and the probe as an operator types them, against a sandbox and a running receiver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from billing_worker.inbox.endpoints import check_url
from billing_worker.inbox.secrets import fingerprint_of
from billing_worker.kernel.errors import InvalidValueError, RefusedError
from billing_worker.stack.readiness import wait_until_ready
from tests.cli.nself import Nself, WarmNself
from tests.integration.receiver.process import event, running_receiver, signed
from tests.support.stripe_sandbox import KEY, Sandbox, run_sandbox

OLD = "whsec_old_secret"


def ask(nself: Nself, *arguments: str, code: int = 0, stdin: str = "") -> Any:
    done = nself("billing", "webhook", *arguments, "--json", stdin=stdin)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def secrets_in(folder: Path) -> list[str]:
    lines = [line.partition("=")[2] for line in (folder / ".env").read_text().splitlines() if "WEBHOOK_SECRET" in line]
    return lines[0].strip("'\"").split(",")


def states(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT state FROM billing_secret_rotations ORDER BY id"))
        return [tuple(row) for row in rows]


def make_nself(folder: Path, database_url: str, redis_url: str, sandbox: Sandbox, port: int) -> Nself:
    (folder / ".env").write_text(f"STRIPE_WEBHOOK_SECRET={OLD}\n")
    variables = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_API_BASE": sandbox.url,
        "BILLING_RECEIVER_PORT": str(port),
    }
    return WarmNself(folder, variables)


def test_a_rotation_goes_on_where_it_stood_and_loses_nothing(
    tmp_path: Path, database_url: str, redis_url: str, engine: Engine
) -> None:
    with run_sandbox() as sandbox:
        old = sandbox.api("POST", "webhook_endpoints", url="https://example.com/webhooks/stripe", enabled_events=["*"])
        with running_receiver(tmp_path, database_url, redis_url, STRIPE_WEBHOOK_SECRET=OLD) as receiver:
            nself = make_nself(tmp_path, database_url, redis_url, sandbox, receiver.port)
            assert ask(nself, "rotate-secret", "--dry-run")["state"] == "none under way"
            assert states(engine) == []
            first = ask(nself, "rotate-secret", "--yes", code=1)
            assert (first["state"], first["old_endpoint"]) == ("watching", old["id"])
            assert "does not accept the new secret yet" in first["waits_for"]
            assert ask(nself, "rotate-secret", code=1) == first  # asked again, nothing is added again
            [added] = [one for one in sandbox.listed("webhook_endpoints") if one["id"] != old["id"]]
            assert (added["id"], added["status"], added["url"]) == (first["new_endpoint"], "disabled", old["url"])
            new = secrets_in(tmp_path)[1]
            assert [fingerprint_of(new), secrets_in(tmp_path)[0]] == [first["new_fingerprint"], OLD]
            verdicts = [row["verdict"] for row in ask(nself, "test-signature", code=1)]
            assert verdicts == ["ok", "wrong_secret"]
        with running_receiver(tmp_path, database_url, redis_url, STRIPE_WEBHOOK_SECRET=f"{OLD},{new}") as receiver:
            nself = make_again(nself, receiver.port)
            waiting = ask(nself, "rotate-secret", code=1)
            assert (waiting["state"], "no delivery was verified" in waiting["waits_for"]) == ("watching", True)
            assert {one["status"] for one in sandbox.listed("webhook_endpoints")} == {"enabled"}
            for secret in (OLD, new, new):
                assert receiver.post(event("evt_1"), signed(event("evt_1"), secret=secret)).status == 200
            wait_until_ready(
                "the counts",
                lambda: None if [row["deliveries"] for row in ask(nself, "show-secret")] == [1, 2] else "not written",
                timeout_seconds=60,
            )
            done = ask(nself, "rotate-secret")
        assert (done["state"], done["waits_for"]) == ("done", "")
        assert [one["id"] for one in sandbox.listed("webhook_endpoints")] == [first["new_endpoint"]]
    assert secrets_in(tmp_path) == [new]
    assert states(engine) == [("done",)]
    assert OLD not in (shown := nself("billing", "webhook", "show-secret").stdout)
    assert new not in shown


def make_again(nself: Nself, port: int) -> Nself:
    return WarmNself(nself.folder, {**nself.variables, "BILLING_RECEIVER_PORT": str(port)})


def test_a_rolled_secret_touches_no_endpoint_and_an_abort_takes_back(
    tmp_path: Path, database_url: str, redis_url: str, engine: Engine
) -> None:
    with run_sandbox() as sandbox:
        old = sandbox.api("POST", "webhook_endpoints", url="https://example.com/webhooks/stripe", enabled_events=["*"])
        nself = make_nself(tmp_path, database_url, redis_url, sandbox, 1)
        on_argv = nself("billing", "webhook", "rotate-secret", "--new-secret", "whsec_rolled", "--yes")
        assert (on_argv.returncode, states(engine)) == (2, [])
        rolled = ask(nself, "rotate-secret", "--new-secret", "-", "--yes", stdin="whsec_rolled\n", code=1)
        assert (rolled["state"], rolled["new_endpoint"], secrets_in(tmp_path)) == (
            "watching", "", [OLD, "whsec_rolled"],
        )  # fmt: skip
        assert ask(nself, "rotate-secret", "--abort")["state"] == "aborted"
        assert (secrets_in(tmp_path), states(engine)) == ([OLD], [("aborted",)])
        twin = ask(nself, "rotate-secret", "--yes", code=1)
        assert len(sandbox.listed("webhook_endpoints")) == 2
        assert ask(nself, "rotate-secret", "--abort")["new_endpoint"] == twin["new_endpoint"]
        assert [one["id"] for one in sandbox.listed("webhook_endpoints")] == [old["id"]]
        assert nself("billing", "webhook", "rotate-secret", "--abort").returncode == 4
        sandbox.api("POST", "webhook_endpoints", url="https://example.com/webhook", enabled_events=["*"])
        several = nself("billing", "webhook", "rotate-secret", "--yes")
        assert (several.returncode, "name yours with --endpoint" in several.stderr) == (3, True)
        in_environment = nself("billing", "webhook", "rotate-secret", "--yes", STRIPE_WEBHOOK_SECRET="a,b")
        assert (in_environment.returncode, "--old" in in_environment.stderr) == (3, True)
    assert states(engine) == [("aborted",), ("aborted",)]


def test_endpoints_are_listed_with_what_is_wrong_and_moved(
    tmp_path: Path, database_url: str, redis_url: str, engine: Engine
) -> None:
    with run_sandbox() as sandbox:
        nself = make_nself(tmp_path, database_url, redis_url, sandbox, 1)
        url = "https://example.com/webhooks/stripe"
        one = sandbox.api("POST", "webhook_endpoints", url=url, enabled_events=["*"])
        assert [row["problems"] for row in ask(nself, "list-endpoints")] == [""]
        planned = ask(nself, "update-url", "https://example.org/webhook", "--dry-run")
        assert planned == {"endpoint": one["id"], "from": url, "to": "https://example.org/webhook", "changed": False}
        assert (
            nself("billing", "webhook", "update-url", "https://example.org/webhook").returncode == 3
        )  # nobody says yes
        assert sandbox.api("GET", f"webhook_endpoints/{one['id']}")["url"] == url
        moved = ask(nself, "update-url", "https://example.org/webhook", "--yes")
        assert (moved["changed"], sandbox.api("GET", f"webhook_endpoints/{one['id']}")["url"]) == (True, moved["to"])
        sandbox.api(
            "POST", "webhook_endpoints", url="https://example.org/webhook", enabled_events=["invoice.paid"],
            api_version="2020-03-02",
        )  # fmt: skip
        elsewhere = sandbox.api("POST", "webhook_endpoints", url="https://example.org/hooks", enabled_events=["*"])
        sandbox.api("POST", f"webhook_endpoints/{elsewhere['id']}", disabled=True)
        problems = {row["id"]: row["problems"] for row in ask(nself, "list-endpoints", code=1)}
        assert problems[one["id"]] == "2 endpoints have this address: every event comes 2 times"
        [second] = [found for key, found in problems.items() if key not in {one["id"], elsewhere["id"]}]
        assert all(word in second for word in ("API version", "types we act on", "charge.captured"))
        assert all(word in problems[elsewhere["id"]] for word in ("disabled", "not on /hooks"))
        double = nself(
            "billing", "webhook", "update-url", "https://example.org/hooks", "--endpoint", one["id"], "--yes"
        )
        assert (double.returncode, "listens on" in double.stderr) == (3, True)
        missing = nself("billing", "webhook", "update-url", url, "--endpoint", "we_none", "--yes")
        assert (missing.returncode, missing.stdout) == (4, "")
    with engine.connect() as connection:
        audited = connection.execute(text("SELECT command, outcome FROM billing_operator_actions ORDER BY id")).all()
    assert [tuple(row) for row in audited] == [("nself billing webhook update-url", "done")]


@pytest.mark.parametrize(
    ("url", "livemode", "error"),
    [
        ("https://yourapp.com/webhooks/stripe", True, None),
        ("http://yourapp.com/webhooks/stripe", False, None),
        ("http://yourapp.com/webhooks/stripe", True, RefusedError),
        ("https://localhost/webhooks/stripe", False, RefusedError),
        ("https://127.0.0.1/webhooks/stripe", False, RefusedError),
        ("https://10.1.2.3/webhooks/stripe", False, RefusedError),
        ("https://[::1]/webhooks/stripe", False, RefusedError),
        ("https://receiver/webhooks/stripe", False, RefusedError),
        ("https://yourapp.com/", False, RefusedError),
        ("yourapp.com/webhooks/stripe", False, InvalidValueError),
        ("ftp://yourapp.com/webhooks/stripe", False, InvalidValueError),
        ("https://me:secret@yourapp.com/webhooks/stripe", False, InvalidValueError),
    ],
)
def test_only_addresses_stripe_can_deliver_to_are_taken(
    url: str, *, livemode: bool, error: type[Exception] | None
) -> None:
    if error is None:
        assert check_url(url, livemode=livemode, api_base="https://api.stripe.com") == url
        return
    with pytest.raises(error):
        check_url(url, livemode=livemode, api_base="https://api.stripe.com")


def test_a_sandbox_reaches_what_this_machine_reaches() -> None:
    url = "http://127.0.0.1:8080/webhooks/stripe"
    assert check_url(url, livemode=False, api_base="http://127.0.0.1:12111") == url
