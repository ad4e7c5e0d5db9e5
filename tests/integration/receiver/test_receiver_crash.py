"""Under load, on a kill and on a polite stop: what was acknowledged is a row, exactly once."""

from __future__ import annotations

import http.client
import os
import select
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest

from tests.integration.receiver.process import (
    PATIENCE_SECONDS,
    Receiver,
    event,
    rows,
    running_receiver,
    signed,
)
from tests.integration.receiver.test_receiver_outages import PENDING, wait_for_lock

POSTERS = 64
CUSTOMERS = 16


def test_many_posters_at_once_are_all_stored_exactly_once(receiver: Receiver, database_url: str) -> None:
    barrier = threading.Barrier(POSTERS)

    def post(poster: int) -> list[int]:
        barrier.wait(PATIENCE_SECONDS)
        own = [receiver.post(event(f"evt_{poster}_{n}", object_id=f"cus_{poster % CUSTOMERS}")) for n in range(5)]
        shared = receiver.post(event("evt_shared"))
        return [answer.status for answer in (*own, shared)]

    with ThreadPoolExecutor(POSTERS) as pool:
        statuses = [status for found in pool.map(post, range(POSTERS)) for status in found]
    assert statuses == [200] * (POSTERS * 6)
    assert rows(
        database_url,
        "SELECT count(*), count(DISTINCT event_id), sum(deliveries), max(deliveries)"
        " FROM billing.billing_webhook_events",
    ) == [(POSTERS * 5 + 1, POSTERS * 5 + 1, POSTERS * 6, POSTERS)]
    assert rows(database_url, "SELECT count(*) FROM billing.billing_webhook_payloads") == [(POSTERS * 5 + 1,)]
    stored = receiver.metric('nself_intake_deliveries_total{outcome="stored"}')
    # Those that were folded into the group of the first are told "stored" too: it is their row as much.
    assert POSTERS * 5 + 1 <= stored <= POSTERS * 6
    assert receiver.metric("nself_intake_group_deliveries_count") < POSTERS * 6


def test_after_a_kill_every_acknowledged_event_is_a_row(receiver: Receiver, database_url: str) -> None:
    acknowledged: list[str] = []
    enough = threading.Event()

    def post_until_dead(poster: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=PATIENCE_SECONDS)
        number = 0
        try:
            while True:
                event_id = f"evt_{poster}_{number}"
                body = event(event_id)
                connection.request("POST", "/webhook", body, signed(body))
                response = connection.getresponse()
                if response.status == 200 and response.read():
                    acknowledged.append(event_id)
                if len(acknowledged) >= 300:
                    enough.set()
                number += 1
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    posters = [threading.Thread(target=post_until_dead, args=(number,)) for number in range(16)]
    for poster in posters:
        poster.start()
    assert enough.wait(PATIENCE_SECONDS)
    os.killpg(receiver.process.pid, signal.SIGKILL)
    for poster in posters:
        poster.join(PATIENCE_SECONDS)
    stored = {event_id for (event_id,) in rows(database_url, "SELECT event_id FROM billing.billing_webhook_events")}
    assert len(acknowledged) >= 300
    assert set(acknowledged) <= stored
    assert rows(database_url, "SELECT count(*) FROM billing.billing_webhook_payloads") == [(len(stored),)]


def test_a_polite_stop_answers_whoever_waits_for_a_commit(tmp_path: Path, database_url: str, redis_url: str) -> None:
    waiting = 48  # more than any pool of threads has at once: nobody may queue behind those who wait for a commit
    blocker = psycopg2.connect(database_url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE billing.billing_webhook_events IN EXCLUSIVE MODE")
    with (
        running_receiver(tmp_path, database_url, redis_url, WEBHOOK_TIMEOUT="60s") as receiver,
        ThreadPoolExecutor(waiting) as pool,
    ):
        first = pool.submit(receiver.post, event("evt_0"))
        wait_for_lock(database_url)
        others = [pool.submit(receiver.post, event(f"evt_{number}")) for number in range(1, waiting)]
        receiver.wait_for_metric(PENDING, waiting - 1)
        assert receiver.get("/readyz").status == 200
        receiver.process.send_signal(signal.SIGTERM)
        blocker.rollback()
        blocker.close()
        answers = [answer.result() for answer in (first, *others)]
        assert [(answer.status, answer.body.get("reason")) for answer in answers] == [(200, None)] * waiting
        assert receiver.process.wait(PATIENCE_SECONDS) == 0
    assert rows(database_url, "SELECT count(*), sum(deliveries) FROM billing.billing_webhook_events") == [
        (waiting, waiting)
    ]


def test_a_killed_server_leaves_no_worker_behind(receiver: Receiver) -> None:
    [worker] = Path(f"/proc/{receiver.process.pid}/task/{receiver.process.pid}/children").read_text().split()
    handle = os.pidfd_open(int(worker))
    try:
        receiver.process.kill()
        receiver.process.wait()
        ended, _, _ = select.select([handle], [], [], PATIENCE_SECONDS)
    finally:
        os.close(handle)
    assert ended == [handle]
    with pytest.raises(ConnectionRefusedError):
        receiver.get("/healthz")


def test_a_dead_worker_ends_the_server_so_that_the_supervisor_starts_it_anew(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    with running_receiver(tmp_path, database_url, redis_url) as receiver:
        pid = receiver.process.pid
        [worker] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        assert receiver.process.wait(PATIENCE_SECONDS) != 0
