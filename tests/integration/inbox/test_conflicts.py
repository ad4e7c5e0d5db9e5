"""Two transactions that wait for each other: the one PostgreSQL ends is tried again and counts for nobody."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.stack.ephemeral import EphemeralServers
from billing_worker.stack.readiness import wait_until_ready
from tests.support.databases import with_database
from tests.support.deliveries import EPOCH, RecordingReactions, customer, drain, event, rows, store

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def test_a_drain_that_a_redelivery_deadlocks_applies_its_event_at_the_first_attempt(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, servers: EphemeralServers
) -> None:
    store(engine, [event("customer.updated", customer(email="old@x.io"), event_id="evt_1")], unit_of_work.now())
    drain(unit_of_work, RecordingReactions())
    new = event("customer.updated", customer(email="new@x.io"), created=EPOCH + 1, event_id="evt_2")
    store(engine, [new], unit_of_work.now())

    # The administrator's patience makes the drain the transaction that PostgreSQL ends.
    administrator = psycopg2.connect(with_database(servers.admin_database_url, str(engine.url.database)))
    with closing(administrator) as other, other.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute("SET deadlock_timeout = '60s'")
        cursor.execute("SELECT 1 FROM billing.billing_webhook_events WHERE event_id = 'evt_2' FOR UPDATE")
        draining = pool.submit(drain, unit_of_work, RecordingReactions())
        wait_until_ready("a drain", lambda: None if rows(session, WAITING) == [(1,)] else "not yet", timeout_seconds=60)
        cursor.execute("SELECT 1 FROM billing.billing_customers WHERE id = 'cus_1' FOR UPDATE")
        other.commit()
        assert draining.result() == 1

    assert rows(session, "SELECT email FROM billing_customers") == [("new@x.io",)]
    assert rows(session, "SELECT event_id, status, attempts FROM billing_webhook_events ORDER BY id") == [
        ("evt_1", "applied", 0),
        ("evt_2", "applied", 0),
    ]
    assert rows(session, "SELECT count(*) FROM billing_parked_objects") == [(0,)]
    assert rows(session, "SELECT count(*) FROM billing_lanes WHERE batch_size > 0 OR batch_row_ids IS NOT NULL") == [
        (0,)
    ]
