"""Faults on request: each kind as a client meets it, and what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import requests
import stripe
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from billing_worker.sandbox.faults_command import run_faults
from tests.integration.sandbox.process import KEY, Sandbox


@pytest.fixture(autouse=True)
def _no_faults_stay(sandbox: Sandbox) -> Any:
    yield
    sandbox.control("faults/clear", {})


def names(sandbox: Sandbox) -> list[str | None]:
    return [customer.name for customer in sandbox.v1.customers.list({"limit": 100}).auto_paging_iter()]


def code_of(error: stripe.StripeError) -> str | None:
    # The SDK gives only some of its errors the code itself.
    return None if error.error is None else error.error.code


def create(sandbox: Sandbox, name: str, key: str | None = None) -> Any:
    options = {} if key is None else {"idempotency_key": key}
    return sandbox.v1.customers.create({"name": name}, options)


@pytest.mark.parametrize("code", ["rate_limit", "lock_timeout"])
def test_429_once_and_nothing_happened(sandbox: Sandbox, code: str) -> None:
    sandbox.control("faults", {"kind": code, "method": "POST", "path": "/v1/customers"})
    with pytest.raises(stripe.RateLimitError) as limited:
        create(sandbox, code, f"key-{code}")
    assert (limited.value.http_status, code_of(limited.value)) == (429, code)
    assert code not in names(sandbox)
    assert create(sandbox, code, f"key-{code}").name == code


def test_a_500_before_is_repeated_with_success(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"kind": "error_before", "path": "/v1/customers", "method": "POST"})
    with pytest.raises(stripe.APIError) as broken:
        create(sandbox, "before", "key-before")
    assert broken.value.http_status == 500
    assert "before" not in names(sandbox)
    assert create(sandbox, "before", "key-before").name == "before"


def test_a_500_after_applying_is_what_the_key_keeps_answering(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"kind": "error_after", "path": "/v1/customers", "method": "POST"})
    with pytest.raises(stripe.APIError):
        create(sandbox, "after", "key-after")
    assert names(sandbox).count("after") == 1
    with pytest.raises(stripe.APIError) as replayed:
        create(sandbox, "after", "key-after")
    assert replayed.value.headers is not None
    assert (replayed.value.http_status, replayed.value.headers["Idempotent-Replayed"]) == (500, "true")
    assert names(sandbox).count("after") == 1


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "reset_before", "reset_after"])
def test_no_answer_leaves_the_outcome_open_until_the_key_is_repeated(sandbox: Sandbox, kind: str) -> None:
    given = {"kind": kind, "method": "POST", "path": "/v1/customers"}
    sandbox.control("faults", given | ({"seconds": 0.2} if "timeout" in kind else {}))
    with pytest.raises(stripe.APIConnectionError):
        create(sandbox, kind, f"key-{kind}")
    assert names(sandbox).count(kind) == (1 if kind.endswith("after") else 0)
    assert create(sandbox, kind, f"key-{kind}").name == kind
    assert names(sandbox).count(kind) == 1


def test_a_slow_answer_is_slower_than_an_impatient_client(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"kind": "slow", "method": "GET", "path": "/v1/customers", "seconds": 30})
    with pytest.raises(requests.ReadTimeout):
        sandbox.raw("GET", "/v1/customers", timeout=0.2)
    sandbox.control("faults", {"kind": "slow", "method": "GET", "path": "/v1/customers", "seconds": 0.01})
    assert sandbox.raw("GET", "/v1/customers").status_code == 200


def test_nobody_listens_for_a_time(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"kind": "refused", "path": "/v1/account", "seconds": 1})
    with pytest.raises(requests.ConnectionError):
        sandbox.raw("GET", "/v1/account")
    with pytest.raises(requests.ConnectionError, match="refused"):
        sandbox.raw("GET", "/v1/account")
    patient = requests.Session()
    patient.mount(
        "http://", HTTPAdapter(max_retries=Retry(total=None, connect=200, backoff_factor=0.05, backoff_max=0.1))
    )
    answer = patient.get(f"{sandbox.base}/v1/account", headers={"Authorization": f"Bearer {KEY}"})
    patient.close()
    assert answer.status_code == 200


def test_a_revoked_key_stays_revoked_and_other_keys_work(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"kind": "key_revoked", "key": KEY, "count": 0})
    for _ in range(3):
        with pytest.raises(stripe.AuthenticationError) as revoked:
            sandbox.v1.customers.list()
        assert (revoked.value.http_status, code_of(revoked.value)) == (401, "api_key_expired")
        assert KEY not in str(revoked.value)
    other = {"Authorization": "Bearer sk_test_another_one"}
    assert requests.get(f"{sandbox.base}/v1/customers", headers=other, timeout=30).status_code == 200


def test_a_key_without_permission_reads_and_may_not_write(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"kind": "key_forbidden", "method": "POST", "path": "/v1/refunds", "count": 0})
    with pytest.raises(stripe.PermissionError) as forbidden:
        sandbox.v1.refunds.create({"charge": "ch_any"})
    assert forbidden.value.http_status == 403
    assert sandbox.v1.refunds.list().data == []


def test_the_third_match_and_the_one_after_it_fail(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"kind": "error_before", "method": "GET", "path": "/v1/prod*", "nth": 3, "count": 2})
    paths = ("/v1/products", "/v1/prices", "/v1/products", "/v1/products", "/v1/products", "/v1/products")
    assert [sandbox.raw("GET", path).status_code for path in paths] == [200, 200, 200, 500, 500, 200]
    shown = sandbox.control("faults")
    assert [(fault["kind"], fault["seen"], fault["used"]) for fault in shown["faults"]] == [("error_before", 5, 2)]


def test_rate_limits_are_switched_on_and_off(fresh: Sandbox) -> None:
    # What they refuse is told by the unit tests, on a clock that no busy machine slows down.
    assert fresh.control("faults", {"rate_limits": "stripe"})["rate_limits"] == "stripe"
    assert fresh.control("faults/clear", {})["rate_limits"] == "off"
    assert {fresh.raw("GET", "/v1/customers").status_code for _ in range(60)} == {200}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "kind is one of"),
        ({"kind": "storm"}, "kind is one of"),
        ({"kind": "slow", "nth": 0}, "nth is a whole number"),
        ({"kind": "slow", "seconds": 0}, "seconds lie above 0"),
        ({"kind": "slow", "path": 7}, "path is a text"),
        ({"kind": "slow", "when": "now"}, "unknown field when"),
        ({"rate_limits": "none"}, "rate_limits is one of"),
    ],
)
def test_a_fault_that_cannot_work_is_refused(sandbox: Sandbox, given: dict[str, Any], words: str) -> None:
    refused = sandbox.control("faults", given, status=400)
    assert words in refused["error"]["message"]
    assert sandbox.control("faults") == {"faults": [], "rate_limits": "off"}


def test_the_command_line_adds_lists_and_clears(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    port = sandbox.base.rpartition(":")[2]

    def answer(*arguments: str) -> dict[str, Any]:
        assert run_faults(["--port", port, *arguments], port=0) == 0
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    answer("add", "error_before", "--path", "/v1/charges", "--nth", "2", "--count", "1")
    assert [sandbox.raw("GET", "/v1/charges").status_code for _ in range(3)] == [200, 500, 200]
    assert answer("list")["faults"][0]["used"] == 1
    assert answer("rate-limits", "live")["rate_limits"] == "live"
    assert answer("clear") == {"faults": [], "rate_limits": "off", "removed": 1}
    assert run_faults(["--port", port, "add", "slow", "--seconds", "-1"], port=0) == 2


def test_the_command_line_says_when_nobody_answers() -> None:
    command = [sys.executable, "-m", "billing_worker.sandbox", "faults", "--port", "1", "list"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (5, "")
    assert "no sandbox answers on port 1" in ended.stderr
