"""Nothing that was answered is lost when the process is killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
import stripe

from tests.integration.sandbox.process import Receiver, Sandbox, receiving, running


def test_a_killed_sandbox_comes_back_as_it_was(tmp_path: Path) -> None:
    with running(tmp_path) as sandbox:
        payer, price = sandbox.payer(), sandbox.price()
        subscription = sandbox.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
        gone = sandbox.v1.customers.create({})
        sandbox.v1.customers.delete(gone.id)
        sandbox.advance(days=20)
        sandbox.control("settings", {"smart_retries": True})
        sandbox.control("deliveries", {"late": 0.5, "seed": 3})
        first = sandbox.raw("POST", "/v1/products", data={"name": "Once"}, headers={"Idempotency-Key": "k"})
        before = sandbox.control("state/hash")
        events, now = sandbox.events(), sandbox.now()
        account = sandbox.v1.accounts.retrieve_current().id
        sandbox.kill()
    with running(tmp_path) as sandbox:
        assert sandbox.control("state/hash") == before
        assert sandbox.events() == events
        assert now <= sandbox.now() < now + 600
        assert sandbox.v1.accounts.retrieve_current().id == account
        assert sandbox.control("settings") == {
            "smart_retries": True,
            "after_retries": "cancel",
            "remembers_declining_cards": False,
        }
        again = sandbox.raw("POST", "/v1/products", data={"name": "Once"}, headers={"Idempotency-Key": "k"})
        assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
        assert sandbox.v1.customers.retrieve(gone.id).deleted is True
        assert sandbox.control("deliveries")["events"] == len(events)
        sandbox.advance(days=12)
        renewed = sandbox.v1.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
        assert (renewed.latest_invoice.billing_reason, renewed.latest_invoice.status) == ("subscription_cycle", "paid")
        assert renewed.latest_invoice.number.endswith("-0002")


def test_undelivered_events_go_out_after_the_restart(tmp_path: Path) -> None:
    with receiving() as receiver:
        with running(tmp_path, webhook_url=receiver.url) as sandbox:
            sandbox.v1.customers.create({"name": "delivered"})
            sandbox.control("deliveries/wait", {})
            sandbox.control("deliveries", {"paused": True})
            sandbox.v1.customers.create({"name": "waiting"})
            sandbox.kill()
        assert len(receiver.deliveries) == 1
        with running(tmp_path, webhook_url=receiver.url) as sandbox:
            assert sandbox.control("deliveries")["pending"] == 1
            sandbox.control("deliveries", {"paused": False})
            sandbox.control("deliveries/wait", {})
            assert len(sandbox.v1.webhook_endpoints.list().data) == 1
        names = [delivery.event["data"]["object"]["name"] for delivery in receiver.deliveries]
        assert names == ["delivered", "waiting"]


def test_time_interrupted_by_a_kill_goes_on_without_gap_or_repetition(tmp_path: Path) -> None:
    subscribers, days = 12, 100
    with receiving() as receiver:
        with running(tmp_path, webhook_url=receiver.url) as sandbox:
            price = sandbox.price()
            for _ in range(subscribers):
                payer = sandbox.payer()
                sandbox.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
            sandbox.control("deliveries/wait", {})
            target = sandbox.now() + days * 86_400
            moving = threading.Thread(target=_move_until_killed, args=(sandbox, target))
            before = len(receiver.deliveries)
            moving.start()
            receiver.wait_for(before + 40)
            sandbox.process.kill()
            moving.join()
            sandbox.kill()
        with running(tmp_path, webhook_url=receiver.url) as sandbox:
            assert sandbox.now() < target
            sandbox.move_to(target)
            sandbox.control("deliveries/wait", {"timeout_seconds": 60})
            created = [event["created"] for event in sandbox.events()]
            assert created == sorted(created)
            for subscription in sandbox.v1.subscriptions.list({"limit": 100}).data:
                invoices = sandbox.v1.invoices.list({"subscription": subscription.id}).data
                assert [invoice.status for invoice in invoices] == ["paid"] * 4
                starts = [invoice.lines.data[0].period.start for invoice in invoices]
                assert len(set(starts)) == 4
                assert len(sandbox.v1.charges.list({"customer": subscription.customer}).data) == 4
            # At least once: what was under way when the process died may come again, nothing is missing.
            assert set(receiver.ids()) == {event["id"] for event in _all_known(sandbox, receiver)}


def _move_until_killed(sandbox: Sandbox, target: int) -> None:
    with contextlib.suppress(requests.ConnectionError):
        requests.post(f"{sandbox.base}/_sandbox/clock", json={"to": target}, timeout=60)


def _all_known(sandbox: Sandbox, receiver: Receiver) -> list[dict[str, object]]:
    """What Stripe would still list, and what it delivered before that: events are kept for thirty days."""
    oldest = sandbox.now() - 30 * 86_400
    earlier = [delivery.event for delivery in receiver.deliveries if delivery.event["created"] < oldest]
    return [*sandbox.events(**{"created[gte]": oldest}), *earlier]


def test_a_torn_last_line_is_a_commit_that_never_was(tmp_path: Path) -> None:
    with running(tmp_path) as sandbox:
        kept = sandbox.v1.customers.create({"name": "kept"})
        torn = sandbox.v1.customers.create({"name": "torn"})
        sandbox.kill()
    journal = tmp_path / "journal.jsonl"
    os.truncate(journal, journal.stat().st_size - 10)
    with running(tmp_path) as sandbox:
        assert [customer.id for customer in sandbox.v1.customers.list().data] == [kept.id]
        after = sandbox.v1.customers.create({"name": "after"})
        sandbox.kill()
    with running(tmp_path) as sandbox:
        assert [customer.id for customer in sandbox.v1.customers.list().data] == [after.id, kept.id]
        with pytest.raises(stripe.InvalidRequestError):
            sandbox.v1.customers.retrieve(torn.id)


def test_the_journal_is_nobody_elses_to_read(tmp_path: Path) -> None:
    with running(tmp_path / "state") as sandbox:
        sandbox.v1.customers.create({})
    assert (tmp_path / "state" / "journal.jsonl").stat().st_mode & 0o777 == 0o600


def test_sigterm_ends_it_gracefully(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.v1.customers.create({})
    assert sandbox.stop() == 0
    assert not any("Traceback" in line for line in sandbox.log)


@pytest.mark.parametrize(("arguments", "code", "words"), [(["--host", "0.0.0.0"], 3, "--allow-remote")])
def test_others_are_not_let_in_by_accident(arguments: list[str], code: int, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "billing_worker.sandbox", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, words in done.stderr) == (code, True)


def test_one_state_directory_serves_one_sandbox(tmp_path: Path) -> None:
    with running(tmp_path) as sandbox:
        done = subprocess.run(
            [sys.executable, "-m", "billing_worker.sandbox", "--port", "0", "--state-dir", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, "another sandbox uses" in done.stderr) == (3, True)
        assert sandbox.control("health")["status"] == "ok"


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with running() as sandbox:
        port = sandbox.base.rsplit(":", 1)[1]
        done = subprocess.run(
            [sys.executable, "-m", "billing_worker.sandbox", "--port", port, "--state-dir", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, "choose another --port" in done.stderr) == (5, True)
