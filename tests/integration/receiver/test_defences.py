"""What strangers do to the receiver costs Stripe's deliveries nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from billing_worker.stack.ephemeral import EphemeralServers
from billing_worker.stack.errors import ServerStartError
from tests.integration.receiver.process import SECRET, Receiver, event, rows, running_receiver, signed
from webhook_receiver.callers import REFUSALS_A_MINUTE

SLOW = 200
STRIPE = "54.187.216.72"


@pytest.fixture(scope="module")
def guarded(
    servers: EphemeralServers, shared_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Receiver]:
    with running_receiver(
        tmp_path_factory.mktemp("guarded"),
        shared_database_url,
        servers.redis_url,
        STRIPE_ENABLE_IP_WHITELIST="true",
        BILLING_TRUSTED_HOPS="1",
    ) as receiver:
        yield receiver


def test_two_hundred_slow_senders_delay_no_delivery(receiver: Receiver, database_url: str) -> None:
    head = (
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nStripe-Signature: t=1,v1=0\r\n\r\n{"
    )
    with ExitStack() as stack:
        for number in range(SLOW):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=60))
            # One half sends a byte of a body, the other half never ends its headers.
            slow.sendall(head if number % 2 else head[:40])
        receiver.wait_for_metric("nself_intake_reading_bodies", SLOW // 2)
        assert [receiver.post(event(f"evt_{number}")).status for number in range(20)] == [200] * 20
        assert receiver.get("/readyz").status == 200
        assert receiver.metric("nself_intake_reading_bodies") == SLOW // 2  # nobody was waited for, nobody gave way
    assert rows(database_url, "SELECT count(*) FROM billing.billing_webhook_events") == [(20,)]


def test_bad_signatures_slow_their_sender_and_nobody_elses_deliveries(receiver: Receiver, database_url: str) -> None:
    bad = {"Stripe-Signature": "t=1,v1=00"}
    statuses = [receiver.post(event("evt_bad"), bad).status for _ in range(REFUSALS_A_MINUTE + 5)]
    assert statuses == [*[400] * REFUSALS_A_MINUTE, *[429] * 5]
    assert len(receiver.logged("webhook_rejected")) == REFUSALS_A_MINUTE
    assert receiver.post(event("evt_good")).status == 200  # from the same address
    assert rows(database_url, "SELECT event_id FROM billing.billing_webhook_events") == [("evt_good",)]


def test_several_signatures_and_secrets_in_one_header(receiver: Receiver) -> None:
    body = event("evt_two")
    good, stranger = (signed(body, secret=secret)["Stripe-Signature"] for secret in (SECRET, "whsec_stranger"))
    header = f"{stranger},{good.partition(',')[2]},v0=6f"
    assert receiver.post(body, {"Stripe-Signature": header}).status == 200


@pytest.mark.parametrize(
    ("forwarded_for", "status"),
    [
        (STRIPE, 200),
        (f"6.6.6.6, {STRIPE}", 200),
        (f"{STRIPE}, 6.6.6.6", 403),
        ("6.6.6.6", 403),
        ("127.0.0.1", 403),
        ("", 403),
        (f"::ffff:{STRIPE}", 200),
    ],
)
def test_the_allow_list_asks_who_the_proxy_saw(guarded: Receiver, forwarded_for: str, status: int) -> None:
    body = event(f"evt_{abs(hash(forwarded_for))}")
    answer = guarded.post(body, {**signed(body), "X-Forwarded-For": forwarded_for})
    assert answer.status == status
    if status == 403:
        assert answer.body["reason"] == "address_not_allowed"


def test_a_stranger_is_refused_before_its_body_is_read(guarded: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=60) as stranger:
        stranger.sendall(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        assert stranger.makefile("rb").readline().split(b" ")[1] == b"403"


def test_a_list_that_would_shut_the_sandbox_out_is_refused_at_the_start(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    with (
        pytest.raises(ServerStartError, match="its process ended"),
        running_receiver(
            tmp_path,
            database_url,
            redis_url,
            STRIPE_ENABLE_IP_WHITELIST="true",
            STRIPE_API_BASE="http://127.0.0.1:12111",
        ),
    ):
        raise AssertionError("it runs")
    [log] = tmp_path.glob("receiver-*.log")
    assert "would shut the sandbox out" in log.read_text()
