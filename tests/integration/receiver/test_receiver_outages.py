"""Without PostgreSQL nothing is acknowledged; without Redis nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
from redis import Redis

from billing_worker.kernel.keys import lane_of
from billing_worker.stack.ephemeral import ephemeral_servers
from billing_worker.stack.ports import choose_port
from billing_worker.stack.postgres import wait_for_postgres
from billing_worker.stack.readiness import wait_until_ready
from tests.integration.receiver.process import Answer, Receiver, event, rows, running_receiver
from tests.support.databases import migrate

LANE = lane_of("/customer/cus_1")
ALL_IDS = "SELECT event_id, deliveries FROM billing.billing_webhook_events ORDER BY event_id"
PENDING = "nself_intake_waiting_deliveries"


def post_until_stored(receiver: Receiver, event_id: str) -> None:
    def complaint() -> str | None:
        answer = receiver.post(event(event_id))
        return None if answer.status == 200 else str(answer.body)

    wait_until_ready("the intake", complaint, timeout_seconds=60)


def test_a_stored_event_wakes_its_lane_once(receiver: Receiver, redis: Redis) -> None:
    assert receiver.post(event("evt_1")).status == 200
    queued = redis.blpop([f"webhooks.{LANE % 4}"], timeout=30)
    assert queued is not None
    message = json.loads(queued[1])
    assert message["headers"]["task"] == "inbox.drain_lane"
    assert message["headers"]["kwargsrepr"] == repr({"lane": LANE, "woken_by": "evt_1 customer.updated"})
    receiver.wait_for_metric('nself_intake_wakes_total{outcome="sent"}', 1)


def test_quarantined_events_wake_nobody(receiver: Receiver, redis: Redis) -> None:
    assert receiver.post(event("evt_live", livemode=True)).body["outcome"] == "quarantined"
    assert receiver.post(event("evt_1")).body["outcome"] == "stored"
    receiver.wait_for_metric('nself_intake_wakes_total{outcome="sent"}', 1)
    assert receiver.metric('nself_intake_wakes_total{outcome="not_sent"}') == 0
    assert redis.llen(f"webhooks.{LANE % 4}") == 1


def test_a_stopped_postgres_means_503_and_its_return_is_noticed(tmp_path: Path, redis_url: str) -> None:
    with ephemeral_servers(tmp_path / "servers", redis=False, durable=True) as servers:
        migrate(servers.database_url)
        url, pid = servers.database_url, servers.postgres_pid
        command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        owner = Path(f"/proc/{pid}").stat()
        with running_receiver(tmp_path, url, redis_url) as receiver:
            assert receiver.post(event("evt_before")).status == 200
            stop_postgres(pid, url)
            refused = receiver.post(event("evt_during"))
            assert (refused.status, refused.body) == (503, {"received": False, "reason": "database_away"})
            assert receiver.get("/readyz").status == 503
            assert receiver.get("/healthz").status == 200
            # Only root has to give the server back to its owner, and only root may set groups.
            is_root = os.getuid() == 0
            restarted = subprocess.Popen(
                command,
                cwd="/",
                user=owner.st_uid if is_root else None,
                group=owner.st_gid if is_root else None,
                extra_groups=[] if is_root else None,
            )
            try:
                wait_for_postgres(url)
                post_until_stored(receiver, "evt_during")
                assert rows(url, ALL_IDS) == [("evt_before", 1), ("evt_during", 1)]
                assert receiver.get("/readyz").status == 200
            finally:
                restarted.send_signal(signal.SIGINT)
                restarted.wait(60)


def stop_postgres(pid: int, url: str) -> None:
    os.kill(pid, signal.SIGINT)

    def still_there() -> str | None:
        try:
            psycopg2.connect(url).close()
        except psycopg2.OperationalError as error:
            return None if "refused" in str(error) else str(error)
        return "it accepts connections"

    wait_until_ready("the stop of PostgreSQL", still_there, timeout_seconds=60)


def test_a_connection_that_ended_while_idle_costs_no_delivery(receiver: Receiver, database_url: str) -> None:
    assert receiver.post(event("evt_1")).status == 200
    # The timeout makes the call return only when the backend is gone.
    ended = rows(
        database_url,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE application_name = 'webhook_receiver' AND datname = current_database()",
    )
    assert ended == [(True,)]
    assert receiver.post(event("evt_2")).status == 200
    assert rows(database_url, ALL_IDS) == [("evt_1", 1), ("evt_2", 1)]


def test_a_hanging_database_means_503_in_time_and_loses_nothing(receiver: Receiver, database_url: str) -> None:
    blocker = psycopg2.connect(database_url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE billing.billing_webhook_events IN EXCLUSIVE MODE")
    late = receiver.post(event("evt_late"))
    assert (late.status, late.body["reason"]) == (503, "commit_timeout")
    wait_until_ready(
        "the writer's stall",
        lambda: None if (body := receiver.post(event("evt_after")).body)["reason"] == "database_stalled" else str(body),
        timeout_seconds=60,
    )
    assert receiver.get("/healthz").status == 200
    blocker.rollback()
    blocker.close()
    post_until_stored(receiver, "evt_after")
    # Whoever was told 503 may have been stored nevertheless; told 200, must have been.
    assert rows(database_url, ALL_IDS) == [("evt_after", 1), ("evt_late", 1)]


def test_a_delivery_given_up_before_its_group_is_not_stored(tmp_path: Path, database_url: str, redis_url: str) -> None:
    with running_receiver(tmp_path, database_url, redis_url, WEBHOOK_TIMEOUT="4s") as receiver:
        give_up_in_the_buffer(receiver, database_url)
    assert rows(database_url, ALL_IDS) == [("evt_first", 1), ("evt_third", 1)]


def give_up_in_the_buffer(receiver: Receiver, database_url: str) -> None:
    blocker = psycopg2.connect(database_url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE billing.billing_webhook_events IN EXCLUSIVE MODE")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(receiver.post, event("evt_first"))
        wait_for_lock(database_url)
        second = pool.submit(receiver.post, event("evt_second"))
        receiver.wait_for_metric(PENDING, 1)
        assert [first.result().body["reason"], second.result().body["reason"]] == ["commit_timeout"] * 2
    assert receiver.metric(PENDING) == 0
    blocker.rollback()
    blocker.close()
    post_until_stored(receiver, "evt_third")


def wait_for_lock(database_url: str) -> None:
    statement = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'webhook_receiver'"
        " AND datname = current_database() AND wait_event_type = 'Lock'"
    )
    wait_until_ready(
        "the writer",
        lambda: None if rows(database_url, statement) == [(1,)] else "it does not wait yet",
        timeout_seconds=60,
    )


def test_without_redis_events_are_stored(tmp_path: Path, database_url: str) -> None:
    nobody = f"redis://127.0.0.1:{choose_port()}/0"
    with running_receiver(tmp_path, database_url, nobody) as receiver:
        assert receiver.post(event("evt_1")).status == 200
        ready = receiver.get("/readyz")
        assert (ready.status, "redis" in ready.body["degraded"]) == (200, True)
        receiver.wait_for_metric('nself_intake_wakes_total{outcome="not_sent"}', 1)
    assert rows(database_url, ALL_IDS) == [("evt_1", 1)]


def test_a_redis_that_dies_costs_no_delivery(tmp_path: Path, database_url: str) -> None:
    with (
        ephemeral_servers(tmp_path / "servers", postgres=False) as servers,
        running_receiver(tmp_path, database_url, servers.redis_url) as receiver,
    ):
        assert receiver.post(event("evt_1")).status == 200
        receiver.wait_for_metric('nself_intake_wakes_total{outcome="sent"}', 1)
        os.kill(servers.redis_pid, signal.SIGKILL)
        assert [receiver.post(event(f"evt_{number}")).status for number in range(2, 6)] == [200] * 4
    assert rows(database_url, ALL_IDS) == [(f"evt_{number}", 1) for number in range(1, 6)]


def test_a_redis_that_never_answers_delays_no_delivery(tmp_path: Path, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with running_receiver(tmp_path, database_url, url) as receiver:
            answers: list[Answer] = [
                receiver.post(event(f"evt_{number}", object_id=f"cus_{number}")) for number in range(20)
            ]
            assert [answer.status for answer in answers] == [200] * 20
            # A wake-up takes this broker a second or two: the answers cannot have waited for theirs.
            assert receiver.metric('nself_intake_wakes_total{outcome="not_sent"}') < 5
    assert rows(database_url, "SELECT count(*) FROM billing.billing_webhook_events") == [(20,)]
