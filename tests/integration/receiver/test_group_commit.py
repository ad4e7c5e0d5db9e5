"""Groups: folded, written once, taken apart when one row cannot be stored, refused when there is no room."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection as psycopg2_connection

from billing_worker.database.group_commit import (
    CommitTimeoutError,
    DatabaseAwayError,
    GroupReport,
    RoomFullError,
    WriterStoppedError,
)
from billing_worker.inbox.delivery_writer import Intake, Link, open_intake
from billing_worker.inbox.intake import Delivery, read_delivery
from billing_worker.inbox.services.store_deliveries import EventKey, StoredDelivery, store_deliveries
from billing_worker.inbox.states import EventStatus, Source
from billing_worker.stack.ephemeral import EphemeralServers
from billing_worker.stack.readiness import wait_until_ready
from tests.integration.receiver.process import event, rows
from tests.support.databases import with_database

PATIENCE = timedelta(seconds=60)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GATE = "evt_.gate"


def delivery(event_id: str, **changes: Any) -> Delivery:
    return read_delivery(event(event_id, **changes), livemode=False)


def connect(url: str) -> psycopg2_connection:
    connection = psycopg2.connect(url, application_name="group_commit")
    connection.autocommit = True
    return connection


@dataclass
class Gate:
    """Holds the first group at its connection, so that what follows gathers in the buffer."""

    url: str
    open: threading.Event = field(default_factory=threading.Event)
    reports: list[GroupReport] = field(default_factory=list)

    def connect(self) -> psycopg2_connection:
        assert self.open.wait(PATIENCE.total_seconds())
        return connect(self.url)


@contextmanager
def gathering(gate: Gate, deliveries: list[Delivery], **bounds: int) -> Iterator[list[Future[StoredDelivery]]]:
    """Have all deliveries wait in one group behind the gate's own."""
    intake = open_intake(gate.connect, timeout=PATIENCE, on_group=gate.reports.append, **bounds)
    with ThreadPoolExecutor(len(deliveries) + 1) as pool:
        first = pool.submit(intake.store, delivery(GATE))
        wait_for_waiting(intake, 0, first)
        futures = []
        for number, one in enumerate(deliveries, start=1):
            futures.append(pool.submit(intake.store, one, size_bytes=len(one.body)))
            wait_for_waiting(intake, number, futures[-1])
        yield futures
        gate.open.set()
        first.result()
    intake.stop(PATIENCE)


def wait_for_waiting(intake: Intake, number: int, future: Future[StoredDelivery]) -> None:
    def complaint() -> str | None:
        taken = intake._writing_since is not None
        return None if future.done() or (taken and intake.waiting == number) else f"{intake.waiting} wait"

    wait_until_ready("the buffer", complaint, timeout_seconds=60)


def stored_rows(url: str) -> list[tuple[object, ...]]:
    return rows(url, "SELECT event_id, deliveries, status FROM billing.billing_webhook_events ORDER BY event_id")


def test_deliveries_of_one_event_are_folded_in_their_group(database_url: str) -> None:
    gate = Gate(database_url)
    with gathering(gate, [delivery("evt_2"), delivery("evt_1"), delivery("evt_2"), delivery("evt_2")]) as futures:
        gate.open.set()
        found = [future.result() for future in futures]
    assert [row.key.event_id for row in found] == ["evt_2", "evt_1", "evt_2", "evt_2"]
    assert len({row.row_id for row in found}) == 2
    assert stored_rows(database_url) == [(GATE, 1, "pending"), ("evt_1", 1, "pending"), ("evt_2", 3, "pending")]
    assert [(report.size, len(set(report.results)), report.failure) for report in gate.reports] == [
        (1, 1, ""),
        (4, 2, ""),
    ]


def test_a_row_that_cannot_be_stored_does_not_take_its_group_with_it(database_url: str) -> None:
    gate = Gate(database_url)
    bodies = {name: event(f"evt_{name}") for name in ("lane", "nul", "half")}
    culprits = [
        replace(read_delivery(bodies["lane"], livemode=False), lane=99),
        replace(read_delivery(bodies["nul"], livemode=False), event_id="evt_\0"),
        replace(read_delivery(bodies["half"], livemode=False), type="\ud800"),
    ]
    good = [delivery(f"evt_{number}") for number in range(9)]
    mixed = [*good[:2], culprits[0], *good[2:6], culprits[1], culprits[2], *good[6:]]
    with gathering(gate, mixed) as futures:
        gate.open.set()
        statuses = [future.result().status for future in futures]
    assert statuses == [EventStatus.QUARANTINED if one in culprits else EventStatus.PENDING for one in mixed]
    kept = sorted((f"unreadable_{sha256(body).hexdigest()}", body) for body in bodies.values())
    assert rows(
        database_url,
        "SELECT event_id, status, reason FROM billing.billing_webhook_events ORDER BY status, event_id",
    ) == [
        (GATE, "pending", ""),
        *((f"evt_{number}", "pending", "") for number in range(9)),
        *((event_id, "quarantined", "unstorable") for event_id, _ in kept),
    ]
    assert (
        rows(
            database_url,
            "SELECT e.event_id, p.body FROM billing.billing_webhook_payloads p JOIN billing.billing_webhook_events e"
            " ON e.id = p.event_row_id WHERE e.status = 'quarantined' ORDER BY 1",
        )
        == kept
    )
    assert [(report.size, len(set(report.results))) for report in gate.reports] == [(1, 1), (12, 12)]


def test_a_full_buffer_refuses_at_once(database_url: str) -> None:
    gate = Gate(database_url)
    with (
        gathering(gate, [delivery(f"evt_{number}") for number in range(3)], max_waiting=2) as futures,
        pytest.raises(RoomFullError),
    ):
        futures[2].result()
    assert stored_rows(database_url) == [(GATE, 1, "pending"), ("evt_0", 1, "pending"), ("evt_1", 1, "pending")]


def test_the_buffer_is_bounded_in_bytes_too(database_url: str) -> None:
    gate = Gate(database_url)
    large = [delivery(f"evt_{number}", request="x" * 1000) for number in range(2)]
    with gathering(gate, large, max_waiting_bytes=2000) as futures, pytest.raises(RoomFullError):
        futures[1].result()
    assert stored_rows(database_url) == [(GATE, 1, "pending"), ("evt_0", 1, "pending")]


def test_whoever_gives_up_leaves_the_buffer(database_url: str) -> None:
    gate = Gate(database_url)
    intake = open_intake(gate.connect, timeout=timedelta(seconds=2), on_group=gate.reports.append)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(intake.store, delivery("evt_0"))
        wait_for_waiting(intake, 0, first)
        second = pool.submit(intake.store, delivery("evt_1"))
        wait_for_waiting(intake, 1, second)
        for future in (first, second):
            with pytest.raises(CommitTimeoutError):
                future.result()
    assert (intake.waiting, intake._bytes) == (0, 0)
    gate.open.set()
    intake.stop(PATIENCE)
    # The first was being written, only its answer came too late; the second never left the buffer.
    assert stored_rows(database_url) == [("evt_0", 1, "pending")]


def test_a_stopped_intake_takes_nothing_more(database_url: str) -> None:
    intake = open_intake(lambda: connect(database_url), timeout=PATIENCE, on_group=lambda _: None)
    assert intake.store(delivery("evt_1")).is_new
    intake.stop(PATIENCE)
    with pytest.raises(WriterStoppedError):
        intake.store(delivery("evt_2"))
    assert stored_rows(database_url) == [("evt_1", 1, "pending")]


def test_an_unreachable_database_is_not_asked_again_by_everybody() -> None:
    attempts: list[int] = []

    def refuse() -> psycopg2_connection:
        attempts.append(1)
        raise psycopg2.OperationalError("connection refused")

    reports: list[GroupReport] = []
    intake = open_intake(refuse, timeout=PATIENCE, on_group=reports.append)
    for number in range(50):
        with pytest.raises(DatabaseAwayError):
            intake.store(delivery(f"evt_{number}"))
    intake.stop(PATIENCE)
    assert [report.failure for report in reports] == ["database_away"] * 50
    assert 1 <= len(attempts) < 50


def test_a_bug_in_the_writer_is_answered_and_survived(database_url: str) -> None:
    failures: list[threading.ExceptHookArgs] = []
    healthy = [False]

    def first_broken() -> psycopg2_connection:
        if not healthy[0]:
            healthy[0] = True
            raise ZeroDivisionError
        return connect(database_url)

    intake = open_intake(first_broken, timeout=PATIENCE, on_group=lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", failures.append)
        with pytest.raises(WriterStoppedError):
            intake.store(delivery("evt_1"))
        # The writer may still be ending: the next delivery gets another one.
        assert intake.store(delivery("evt_2")).is_new
    assert [failure.exc_type for failure in failures] == [ZeroDivisionError]
    intake.stop(PATIENCE)
    assert stored_rows(database_url) == [("evt_2", 1, "pending")]


def test_a_deadlock_with_a_drain_is_tried_again(database_url: str, servers: EphemeralServers) -> None:
    intake = open_intake(lambda: connect(database_url), timeout=PATIENCE, on_group=lambda _: None)
    for event_id in ("evt_1", "evt_2"):
        intake.store(delivery(event_id))
    # The administrator's patience makes ours the transaction that PostgreSQL ends.
    drain = psycopg2.connect(with_database(servers.admin_database_url, database_url.rpartition("/")[2]))
    lock = "UPDATE billing.billing_webhook_events SET attempts = attempts + 1 WHERE event_id = %s"
    gate = threading.Barrier(2)
    group = [delivery("evt_1"), delivery("evt_2")]

    def redeliver() -> dict[EventKey, StoredDelivery]:
        gate.wait(PATIENCE.total_seconds())
        return Link(lambda: connect(database_url)).store(group)

    with drain.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute("SET deadlock_timeout = '60s'")
        cursor.execute(lock, ("evt_2",))
        redelivery = pool.submit(redeliver)
        gate.wait(PATIENCE.total_seconds())
        wait_until_ready("our lock", lambda: None if blocked(database_url) else "not yet", timeout_seconds=60)
        cursor.execute(lock, ("evt_1",))
        drain.commit()
        assert len(redelivery.result()) == 2
    drain.close()
    intake.stop(PATIENCE)
    assert rows(
        database_url, "SELECT event_id, deliveries, attempts FROM billing.billing_webhook_events ORDER BY 1"
    ) == [("evt_1", 2, 1), ("evt_2", 2, 1)]


def blocked(url: str) -> bool:
    return rows(
        url,
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'group_commit' AND wait_event_type = 'Lock'"
        " AND datname = current_database()",
    ) == [(1,)]


@pytest.mark.parametrize("status", [status for status in EventStatus if status is not EventStatus.FAILED])
def test_a_redelivery_leaves_the_state_of_an_event_alone(database_url: str, status: EventStatus) -> None:
    store_and_set(database_url, status)
    [again] = store_at(database_url, [delivery("evt_1")], NOW + timedelta(hours=1)).values()
    assert (again.is_new, again.status) == (False, status)
    assert state(database_url) == [(2, status.value, 3, NOW, "why", NOW + timedelta(hours=1))]


def test_a_redelivery_arms_a_failed_event_again(database_url: str) -> None:
    store_and_set(database_url, EventStatus.FAILED)
    [again] = store_at(database_url, [delivery("evt_1")], NOW + timedelta(hours=1)).values()
    assert (again.is_new, again.status) == (False, EventStatus.PENDING)
    assert state(database_url) == [(2, "pending", 0, None, "", NOW + timedelta(hours=1))]


def store_at(url: str, deliveries: list[Delivery], now: datetime | None) -> dict[EventKey, StoredDelivery]:
    connection = connect(url)
    try:
        with connection.cursor() as cursor:
            return store_deliveries(cursor, deliveries, now=now)
    finally:
        connection.close()


def store_and_set(url: str, status: EventStatus) -> None:
    [first] = store_at(url, [delivery("evt_1")], NOW).values()
    assert first.is_new
    rows(
        url,
        "UPDATE billing.billing_webhook_events SET status = %s, attempts = 3, next_attempt_at = received_at,"
        " reason = 'why' RETURNING id",
        status.value,
    )


def state(url: str) -> list[tuple[object, ...]]:
    return rows(
        url,
        "SELECT deliveries, status, attempts, next_attempt_at, reason, last_delivery_at"
        " FROM billing.billing_webhook_events",
    )


def test_nothing_is_stored_of_nothing(database_url: str) -> None:
    assert store_at(database_url, [], NOW) == {}


def test_other_sources_bring_their_time_of_observation(database_url: str) -> None:
    seen = replace(delivery("evt_1"), source=Source.EVENTS_API, observed_at=NOW - timedelta(minutes=1))
    store_at(database_url, [seen], NOW)
    assert rows(
        database_url, "SELECT source, observed_at, received_at, created FROM billing.billing_webhook_events"
    ) == [("events_api", NOW - timedelta(minutes=1), NOW, datetime(2026, 2, 25, 6, 13, 20, tzinfo=UTC))]


def test_the_time_of_receipt_follows_the_billing_clock(database_url: str) -> None:
    ahead = timedelta(days=400)
    rows(
        database_url,
        "UPDATE billing.billing_clock SET offset_seconds = %s RETURNING id",
        int(ahead.total_seconds()),
    )
    store_at(database_url, [delivery("evt_1")], None)
    assert rows(
        database_url,
        "SELECT e.received_at > now() + interval '399 days', p.received_at = e.received_at"
        " FROM billing.billing_webhook_events e JOIN billing.billing_webhook_payloads p ON p.event_row_id = e.id",
    ) == [(True, True)]


def test_one_event_id_in_two_accounts_is_two_events(database_url: str) -> None:
    both = [delivery("evt_1"), delivery("evt_1", account="acct_1")]
    assert len(store_at(database_url, both, NOW)) == 2
    assert rows(
        database_url, "SELECT account_id, deliveries FROM billing.billing_webhook_events ORDER BY account_id"
    ) == [("", 1), ("acct_1", 1)]
