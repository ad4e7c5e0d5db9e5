"""What the receiver answers, and which rows it leaves, for every kind of delivery."""

from __future__ import annotations

import json
import socket
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from billing_worker.kernel.keys import lane_of
from tests.integration.receiver.process import Receiver, event, rows, signed

EVENTS = Path(__file__).parents[4] / "shared" / "stripe" / "events"
STORED = {"received": True, "outcome": "stored"}


def count(url: str) -> int:
    [(number,)] = rows(url, "SELECT count(*) FROM billing.billing_webhook_events")
    return int(number)


def body_of(url: str, event_id: str) -> bytes:
    [(body,)] = rows(
        url,
        "SELECT p.body FROM billing.billing_webhook_events e JOIN billing.billing_webhook_payloads p"
        " ON p.event_row_id = e.id AND p.received_at = e.received_at WHERE e.event_id = %s",
        event_id,
    )
    assert isinstance(body, bytes)
    return body


@pytest.mark.parametrize("path", ["/webhooks/stripe", "/webhook"])
def test_a_good_event_is_stored_and_acknowledged(
    shared_receiver: Receiver, shared_database_url: str, path: str
) -> None:
    event_id = f"evt_good{path.replace('/', '_')}"
    body = event(event_id, object_id="cus_good", account="acct_1")
    answer = shared_receiver.post(body, path=path)
    assert (answer.status, answer.body) == (200, STORED)
    assert rows(
        shared_database_url,
        "SELECT account_id, type, api_version, source, object_type, object_id, object_key, customer_id, lane,"
        " extract(epoch FROM created)::bigint, deliveries, status, attempts, next_attempt_at, reason, body_sha256,"
        " received_at = last_delivery_at, finished_at FROM billing.billing_webhook_events WHERE event_id = %s",
        event_id,
    ) == [
        (
            "acct_1",
            "customer.updated",
            "2026-10-28.endive",
            "webhook",
            "customer",
            "cus_good",
            "acct_1/customer/cus_good",
            "cus_good",
            lane_of("acct_1/customer/cus_good"),
            1_772_000_000,
            1,
            "pending",
            0,
            None,
            "",
            sha256(body).digest(),
            True,
            None,
        )
    ]
    assert body_of(shared_database_url, event_id) == body


def test_a_duplicate_is_counted_and_its_body_not_kept_twice(
    shared_receiver: Receiver, shared_database_url: str
) -> None:
    assert shared_receiver.post(event("evt_twice")).body == STORED
    again = shared_receiver.post(event("evt_twice", pending_webhooks=1))
    assert (again.status, again.body) == (200, {"received": True, "outcome": "redelivered"})
    assert rows(
        shared_database_url,
        "SELECT deliveries, status, last_delivery_at > received_at FROM billing.billing_webhook_events"
        " WHERE event_id = 'evt_twice'",
    ) == [(2, "pending", True)]
    assert body_of(shared_database_url, "evt_twice") == event("evt_twice")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "no_signature"),
        ({"Stripe-Signature": ""}, "no_signature"),
        ({"Stripe-Signature": "nonsense"}, "malformed_header"),
        ({"Stripe-Signature": "t=abc,v1=00"}, "malformed_header"),
        ({"Stripe-Signature": "t=1772000000"}, "malformed_header"),
        (signed(event("evt_refused"), secret="whsec_stranger"), "no_matching_signature"),
        (signed(event("evt_other")), "no_matching_signature"),
        (signed(event("evt_refused"), age_seconds=3600), "timestamp_outside_tolerance"),
        (signed(event("evt_refused"), age_seconds=-3600), "timestamp_outside_tolerance"),
    ],
)
def test_what_stripe_did_not_sign_now_is_refused_and_leaves_no_row(
    shared_receiver: Receiver, shared_database_url: str, headers: dict[str, str], reason: str
) -> None:
    before = count(shared_database_url)
    answer = shared_receiver.post(event("evt_refused"), headers)
    assert (answer.status, answer.body) == (400, {"received": False, "reason": reason})
    assert count(shared_database_url) == before
    assert shared_receiver.logged("webhook_rejected")[-1]["reason"] == reason


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 200_000, b"nonsense"])
def test_unsigned_rubbish_is_a_400(shared_receiver: Receiver, shared_database_url: str, body: bytes) -> None:
    before = count(shared_database_url)
    answer = shared_receiver.post(body, {"Stripe-Signature": "t=1,v1=00"})
    assert (answer.status, answer.body["reason"]) == (400, "no_matching_signature")
    assert count(shared_database_url) == before


def test_each_secret_is_accepted_and_counted(shared_receiver: Receiver) -> None:
    names = [f'nself_intake_secret_matches_total{{secret="{index}"}}' for index in (0, 1)]
    before = [shared_receiver.metric(name) for name in names]
    body = event("evt_rotated")
    assert shared_receiver.post(body, signed(body, secret="whsec_next_secret")).status == 200
    assert [shared_receiver.metric(name) for name in names] == [before[0], before[1] + 1]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "invalid_json"),
        (b"[]", "not_an_object"),
        (b"{}", "not_an_event"),
        (b"\xff\xfe{", "invalid_utf8"),
        (b"[" * 200_000, "too_deep"),
        (event("evt_no_type", type=None), "missing_key"),
        (event("evt_list_object", object=["event"]), "not_an_event"),
    ],
)
def test_signed_bytes_that_are_no_event_are_kept_in_quarantine(
    shared_receiver: Receiver, shared_database_url: str, body: bytes, reason: str
) -> None:
    answer = shared_receiver.post(body)
    assert (answer.status, answer.body) == (200, {"received": True, "outcome": "quarantined"})
    event_id = f"unreadable_{sha256(body).hexdigest()}"
    assert rows(
        shared_database_url,
        "SELECT status, reason, lane, deliveries, created = received_at, finished_at = received_at"
        " FROM billing.billing_webhook_events WHERE event_id = %s",
        event_id,
    ) == [("quarantined", reason, 0, 1, True, True)]
    assert body_of(shared_database_url, event_id) == body


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"request": {"note": "a\0b"}}, "unstorable_text"),
        ({"request": {"note": "\ud800"}}, "unstorable_text"),
        ({"livemode": True}, "other_mode"),
    ],
)
def test_events_that_must_not_be_applied_are_kept_in_quarantine(
    shared_receiver: Receiver, shared_database_url: str, changes: dict[str, Any], reason: str
) -> None:
    event_id = f"evt_{sha256(repr(changes).encode()).hexdigest()[:12]}"
    body = event(event_id, **changes)
    assert shared_receiver.post(body).body == {"received": True, "outcome": "quarantined"}
    assert rows(
        shared_database_url,
        "SELECT status, reason, object_key FROM billing.billing_webhook_events WHERE event_id = %s",
        event_id,
    ) == [("quarantined", reason, "/customer/cus_1")]
    assert body_of(shared_database_url, event_id) == body


def test_one_mebibyte_is_the_limit(shared_receiver: Receiver, shared_database_url: str) -> None:
    frame = len(event("evt_large", request=""))
    largest = event("evt_large", request="x" * (1024 * 1024 - frame))
    assert len(largest) == 1024 * 1024
    assert shared_receiver.post(largest).body == STORED
    assert body_of(shared_database_url, "evt_large") == largest
    before = count(shared_database_url)
    answer = shared_receiver.post(largest + b" ")
    assert (answer.status, answer.body) == (413, {"received": False, "reason": "body_too_large"})
    assert count(shared_database_url) == before


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1024 * 1024 + 1, 413)])
def test_bodies_in_chunks_have_the_same_limit(shared_receiver: Receiver, size: int, status: int) -> None:
    frame = len(event("evt_chunked", request=""))
    body = event("evt_chunked", request="x" * (size - frame))
    signature = signed(body)["Stripe-Signature"]
    head = (
        "POST /webhooks/stripe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Transfer-Encoding: chunked\r\nStripe-Signature: {signature}\r\n\r\n"
    )
    pieces = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    with socket.create_connection(("127.0.0.1", shared_receiver.port), timeout=60) as client:
        client.sendall(
            head.encode() + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        )
        answer = client.makefile("rb").readline()
    assert answer.split(b" ")[1] == str(status).encode()


def test_other_methods_and_addresses_are_no_deliveries(shared_receiver: Receiver) -> None:
    assert shared_receiver.get("/webhooks/stripe").status == 405
    assert shared_receiver.post(event("evt_lost"), path="/webhooks").status == 404


def test_health_tells_alive_from_ready(shared_receiver: Receiver) -> None:
    assert shared_receiver.get("/healthz").body == {"status": "live"}
    answer = shared_receiver.get("/readyz")
    assert answer.status == 200
    # The servers of tests write without waiting for the disk, which is worth a word in production.
    assert set(answer.body["degraded"]) == {"durability"}


def test_logs_name_the_event_and_never_show_its_payload(shared_receiver: Receiver) -> None:
    body = event("evt_logged", request={"note": "zebra-crossing"})
    assert shared_receiver.post(body).status == 200
    line = shared_receiver.awaited_line("webhook_received", event_id="evt_logged")
    assert (line["type"], line["outcome"], line["lane"]) == ("customer.updated", "stored", lane_of("/customer/cus_1"))
    assert line["ms"] >= 0
    assert "zebra-crossing" not in shared_receiver.log.read_text()


def test_every_example_event_of_stripe_becomes_a_row(shared_receiver: Receiver, shared_database_url: str) -> None:
    if not EVENTS.is_dir():
        pytest.skip("the example events are not part of this repository")
    files = sorted(EVENTS.glob("*.json"))
    assert len(files) > 50
    for number, file in enumerate(files):
        example = {**json.loads(file.read_text()), "id": f"evt_example_{number}"}
        assert shared_receiver.post(json.dumps(example).encode()).status == 200, file.name
    found = rows(
        shared_database_url,
        "SELECT status, reason, count(*), count(*) FILTER (WHERE object_key = '') FROM billing.billing_webhook_events"
        " WHERE event_id LIKE 'evt_example_%%' GROUP BY 1, 2 ORDER BY 1, 2",
    )
    live = sum(json.loads(file.read_text())["livemode"] for file in files)
    assert found == [("pending", "", len(files) - live, 0), ("quarantined", "other_mode", live, 0)]
