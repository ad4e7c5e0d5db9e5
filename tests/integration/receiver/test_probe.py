"""The probe of `webhook test-signature` finds what stands between Stripe and the receiver."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from billing_worker.inbox.diagnosis import Answered, Sent, diagnose
from billing_worker.inbox.services.probe_receiver import probe_receiver
from billing_worker.stack.ports import choose_port
from tests.integration.receiver.process import SECRET, Receiver, rows
from tests.support.tampering import Tamper, as_it_is, rewritten, run_tampering, without

PATH = "/webhooks/stripe"


def probed(url: str, secret: str = SECRET, *, ahead_seconds: int = 0) -> str:
    return probe_receiver(url, secret, livemode=False, clock_seconds=int(time.time()) + ahead_seconds).cause


def test_a_probe_is_answered_and_never_stored(shared_receiver: Receiver, shared_database_url: str) -> None:
    before = rows(shared_database_url, "SELECT count(*) FROM billing.billing_webhook_events")
    counted = shared_receiver.metric('nself_intake_deliveries_total{outcome="probe"}')
    url = f"http://127.0.0.1:{shared_receiver.port}"
    assert probed(url + PATH) == "ok"
    assert probed(url + PATH, "whsec_next_secret") == "ok"
    assert rows(shared_database_url, "SELECT count(*) FROM billing.billing_webhook_events") == before
    assert shared_receiver.metric('nself_intake_deliveries_total{outcome="probe"}') == counted + 2


def test_the_receiver_itself_tells_secret_path_and_clock_apart(shared_receiver: Receiver) -> None:
    url = f"http://127.0.0.1:{shared_receiver.port}"
    assert probed(url + PATH, "whsec_stranger") == "wrong_secret"
    assert probed(f"{url}/hooks") == "wrong_path"
    assert probed(f"{url}/healthz") == "wrong_path"
    assert [probed(url + PATH, ahead_seconds=skew) for skew in (-120, 120)] == ["clock_drifts"] * 2
    skewed = probe_receiver(url + PATH, SECRET, livemode=False, clock_seconds=int(time.time()) + 3600)
    assert skewed.cause == "clock_skew"
    assert "behind ours" in skewed.message
    assert shared_receiver.logged("webhook_rejected")[-1]["skew_seconds"] in {-3600, -3599}
    assert probed(f"http://127.0.0.1:{choose_port()}{PATH}") == "receiver_down"


@pytest.mark.parametrize(
    ("tamper", "cause"),
    [
        (as_it_is, "ok"),
        (rewritten, "body_altered"),
        (lambda headers, body: (headers, body[:-1]), "body_altered"),
        (without("Stripe-Signature"), "header_removed"),
        (lambda headers, body: ({**headers, "Stripe-Signature": "cut"}, body), "header_altered"),
        (lambda headers, body: without("Nself-Probe")(headers, body + b" "), "wrong_secret_or_body"),
    ],
)
def test_what_a_proxy_did_is_named(shared_receiver: Receiver, tamper: Tamper, cause: str) -> None:
    with run_tampering(shared_receiver.port, tamper) as url:
        assert probed(url + PATH) == cause


@pytest.mark.parametrize(
    ("status", "headers", "body", "cause"),
    [
        (301, {"Location": "https://example.com/webhooks/stripe"}, b"", "redirected"),
        (400, {}, b"<html>Bad Request</html>", "refused_by_proxy"),
        (401, {}, b"", "refused_by_proxy"),
        (403, {}, b"<html>Forbidden</html>", "refused_by_proxy"),
        (403, {}, b'{"received": false, "reason": "address_not_allowed"}', "address_not_allowed"),
        (404, {}, b"not found", "wrong_path"),
        (413, {}, b"", "refused_by_proxy"),
        (502, {}, b"", "receiver_down"),
        (503, {}, b'{"received": false, "reason": "database_away"}', "not_storing"),
        (200, {}, b"<html>Welcome</html>", "another_server"),
        (200, {}, b'["received"]', "another_server"),
    ],
)
def test_answers_of_others_are_told_from_the_receivers(
    status: int, headers: Mapping[str, str], body: bytes, cause: str
) -> None:
    found = diagnose(Sent(b"{}", 0), Answered(status, body, headers.get("Location", "")))
    assert (found.cause, found.is_good) == (cause, False)


def test_redirects_are_not_followed(shared_receiver: Receiver) -> None:
    target = f"http://127.0.0.1:{shared_receiver.port}{PATH}"
    with run_tampering(0, answer=(308, {"Location": target}, b"")) as url:
        assert probed(url + PATH) == "redirected"
