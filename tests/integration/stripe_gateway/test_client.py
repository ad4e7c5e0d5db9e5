from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.settings import Settings, load_settings
from billing_worker.stripe_gateway.client import LONGEST_WAIT_SECONDS, StripeGateway
from billing_worker.stripe_gateway.errors import (
    OutcomeUnknown,
    RateLimited,
    StripeKeyRejected,
    StripeNotFound,
    StripeRefused,
    StripeUnavailable,
)
from billing_worker.stripe_gateway.operations import operation_named
from tests.support.stripe_proxy import Proxy, run_proxy
from tests.support.stripe_sandbox import KEY, Sandbox, run_sandbox

CREATE = operation_named("customers.create")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[Proxy]:
    with run_proxy(sandbox.url) as running:
        yield running


def settings_for(url: str, **changes: str) -> Settings:
    return load_settings({"STRIPE_SECRET_KEY": KEY, "STRIPE_API_BASE": url, "NSELF_ENV_FILE": "/nowhere", **changes})


class Gateway(StripeGateway):
    """The gateway with its waits noted instead of waited."""

    def __init__(self, url: str, **changes: str) -> None:
        self.waits: list[float] = []
        super().__init__(settings_for(url, **changes), sleep=self.waits.append)


def test_a_change_and_a_read_agree_and_the_version_is_stripes_clock(sandbox: Sandbox) -> None:
    gateway = Gateway(sandbox.url)
    before = sandbox.now()
    made = gateway.call(CREATE, {"email": "a@example.com", "name": None}, idempotency_key="client-1")
    read = gateway.retrieve("customer", made.data["id"])
    assert type(made.data) is dict
    assert read.data == made.data
    assert (made.data["email"], made.data["name"]) == ("a@example.com", None)
    assert made.request_id is not None
    assert made.request_id.startswith("req_")
    assert before - timedelta(seconds=2) <= read.observed_at <= sandbox.now() - timedelta(seconds=1)


def test_the_version_follows_the_sandboxs_clock_when_it_jumps(sandbox: Sandbox) -> None:
    made = Gateway(sandbox.url).call(CREATE, {}, idempotency_key="client-jump")
    sandbox.advance(days=40)
    read = Gateway(sandbox.url).retrieve("customer", made.data["id"])
    assert read.observed_at - made.observed_at >= timedelta(days=40)
    assert read.observed_at > datetime.now(UTC) + timedelta(days=39)


def test_the_same_key_makes_one_object(sandbox: Sandbox) -> None:
    gateway = Gateway(sandbox.url)
    made = [gateway.call(CREATE, {"name": "once"}, idempotency_key="client-once").data["id"] for _ in range(2)]
    assert made[0] == made[1]
    with pytest.raises(OutcomeUnknown) as caught:
        gateway.call(CREATE, {"name": "other"}, idempotency_key="client-once")
    assert caught.value.key_is_spent


def test_lists_come_in_pages_by_either_name_of_the_path(sandbox: Sandbox) -> None:
    gateway = Gateway(sandbox.url)
    product = sandbox.api("POST", "products", name="p")["id"]
    prices = [
        sandbox.api("POST", "prices", product=product, currency="usd", unit_amount=amount)["id"] for amount in (1, 2, 3)
    ]
    first = gateway.list_page("prices", params={"product": product}, limit=2)
    rest = gateway.list_page("/v1/prices", params={"product": product}, starting_after=first.data[-1]["id"])
    assert [price["id"] for price in first.data + rest.data] == prices[::-1]
    assert (first.has_more, rest.has_more) == (True, False)


def test_errors_of_the_api_are_ours(sandbox: Sandbox) -> None:
    gateway = Gateway(sandbox.url)
    with pytest.raises(StripeNotFound, match="No such customer: 'cus_none'"):
        gateway.retrieve("customer", "cus_none")
    with pytest.raises(StripeRefused) as caught:
        gateway.call(CREATE, {"nonsense": 1}, idempotency_key="client-refused")
    assert (caught.value.code, caught.value.param) == ("parameter_unknown", "nonsense")
    with pytest.raises(StripeKeyRejected):
        Gateway(sandbox.url, STRIPE_SECRET_KEY="nonsense").retrieve("customer", "cus_none")
    with pytest.raises(InvalidValueError, match="off_session"):
        gateway.call(operation_named("setup_intents.create"), {"usage": "on_session"}, idempotency_key="client-usage")


def test_reads_are_repeated_with_growing_bounded_waits(sandbox: Sandbox, proxy: Proxy) -> None:
    customer = sandbox.api("POST", "customers")["id"]
    gateway = Gateway(proxy.url, STRIPE_MAX_RETRIES="6")
    proxy.read_faults[:] = ["done_but_500", "drop_answer", "undated", "unreadable", "done_but_500", "done_but_500"]
    assert gateway.retrieve("customer", customer).data["id"] == customer
    assert len(gateway.waits) == 6
    for wait, longest in zip(gateway.waits, (0.5, 1, 2, 4, 8, 8), strict=True):
        assert longest / 2 <= wait <= min(longest, LONGEST_WAIT_SECONDS)


def test_a_read_that_stays_refused_ends_with_its_error(proxy: Proxy) -> None:
    gateway = Gateway(proxy.url, STRIPE_MAX_RETRIES="2")
    proxy.read_faults[:] = ["too_many"] * 3
    with pytest.raises(RateLimited):
        gateway.retrieve("customer", "cus_1")
    assert gateway.waits == [0.0, 0.0]
    assert proxy.read_faults == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("drop_answer", OutcomeUnknown),
        ("done_but_500", OutcomeUnknown),
        ("undated", OutcomeUnknown),
        ("unreadable", OutcomeUnknown),
    ],
)
def test_unclear_changes_are_never_repeated_by_the_gateway(proxy: Proxy, fault: str, error: type[Exception]) -> None:
    gateway = Gateway(proxy.url)
    proxy.faults[:] = [fault]  # type: ignore[list-item]  # one of the faults
    with pytest.raises(error):
        gateway.call(CREATE, {}, idempotency_key=f"client-{fault}")
    assert proxy.keys == [f"client-{fault}"]
    assert gateway.waits == []


def test_a_change_that_was_refused_unheard_is_repeated_under_its_key(proxy: Proxy) -> None:
    gateway = Gateway(proxy.url)
    proxy.faults[:] = ["too_many", "too_many"]
    gateway.call(CREATE, {}, idempotency_key="client-unheard")
    assert proxy.keys == ["client-unheard"] * 3
    assert gateway.waits == [0.0, 0.0]


def test_a_change_that_never_left_is_told_apart_from_one_whose_answer_is_late() -> None:
    with socket.socket() as unserved:
        unserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unserved.getsockname()[1]}"
        with pytest.raises(StripeUnavailable):
            Gateway(url).call(CREATE, {}, idempotency_key="client-never")
        unserved.listen()
        with pytest.raises(OutcomeUnknown):
            Gateway(url, API_TIMEOUT="50ms").call(CREATE, {}, idempotency_key="client-late")


def test_one_line_is_logged_per_call_without_its_parameters(sandbox: Sandbox) -> None:
    gateway = Gateway(sandbox.url)
    with capture_logs() as logs:
        gateway.call(CREATE, {"email": "secret@example.com"}, idempotency_key="client-log")
        with pytest.raises(StripeNotFound):
            gateway.retrieve("customer", "cus_none")
    assert [(line["event"], line["operation"], line["status"]) for line in logs] == [
        ("stripe_call", "customers.create", 200),
        ("stripe_call", "customer.retrieve", 404),
    ]
    fields = {"event", "log_level", "operation", "status", "ms", "request_id", "attempt", "priority", "waited_ms"}
    assert all(set(line) == fields for line in logs)
    assert all(str(line["request_id"]).startswith("req_") for line in logs)
