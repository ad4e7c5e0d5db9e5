"""What the engine's benchmarks share: events in Stripe's shape, stored as the receiver leaves them, and the facts."""

from __future__ import annotations

import json
import logging
import os
import platform
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.clock import DatabaseClock
from billing_worker.database.copy import copy_rows
from billing_worker.database.engine import build_engine
from billing_worker.database.partitions import ensure_partitions
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.keys import lane_of, object_key
from billing_worker.runtime.settings import Settings, load_settings
from tests.support.databases import migrate

FILL = 20_000
TABLES = (
    "billing_webhook_events, billing_webhook_payloads, billing_webhook_queue, billing_held_objects, "
    "billing_parked_objects, billing_customers, billing_effects, billing_dirty_marks, billing_messages"
)
METADATA_KEYS = (24, 68)
"""Between so many keys of metadata, in 4 kB of body at the median: as many values as an invoice has fields."""


@dataclass(frozen=True)
class Arrivals:
    """In which order the events of the objects arrive: `together` objects change during the same time."""

    name: str
    per_object: int
    together: int

    def order(self, objects: int) -> Iterator[tuple[int, int]]:
        """Yield object and step in the order of arrival."""
        for start in range(0, objects, self.together):
            for step in range(self.per_object):
                for index in range(start, min(start + self.together, objects)):
                    yield index, step


SHAPE_OF_BACKLOG = Arrivals("backlog", per_object=2, together=1_000)


def fill(unit_of_work: UnitOfWork, arrivals: Arrivals, objects: int, *, small: bool = False) -> None:
    """Empty the inbox and store events as the receiver leaves them: pending, with their bodies."""
    with Session(unit_of_work.engine) as session:
        session.execute(text(f"TRUNCATE {TABLES} CASCADE"))
        session.execute(text("UPDATE billing_lanes SET batch_row_ids = NULL, batch_size = 0, crashes = 0"))
        session.commit()
        store_events(session, unit_of_work, arrivals.order(objects), small=small)
        session.execute(text("ANALYZE billing_webhook_events, billing_webhook_queue"))
        session.commit()


def store_events(
    session: Session,
    unit_of_work: UnitOfWork,
    arrivals: Iterator[tuple[int, int]],
    *,
    first: int = 1,
    small: bool = False,
) -> int:
    """Store events of customers from row `first` on and return the next free row."""
    now = unit_of_work.now()
    numbers = random.Random(1)  # noqa: S311 - the same bodies in every round
    events: list[tuple[object, ...]] = []
    bodies: list[tuple[object, ...]] = []
    number = first
    for index, step in arrivals:
        name = f"cus_{index:08d}"
        key = object_key("", "customer", name)
        created = now - timedelta(seconds=1000 - step)
        events.append(
            (number, f"evt_{number}", "customer.updated", "customer", name, key, name, lane_of(key), created, now, now)
        )
        bodies.append((number, now, body_of(numbers, name, number, step, int(created.timestamp()), small=small)))
        number += 1
        if len(events) >= FILL:
            _copy(session, events, bodies)
    _copy(session, events, bodies)
    session.commit()
    return number


def body_of(numbers: random.Random, name: str, number: int, step: int, created: int, *, small: bool = False) -> bytes:
    """Write an event about a customer: many small values, as Stripe's objects have them."""
    metadata = {
        f"attribute_{key:02d}": f"{numbers.getrandbits(40):010x} of the plan of {name}"
        for key in range(0 if small else numbers.randint(*METADATA_KEYS))
    }
    snapshot = {
        "id": name,
        "object": "customer",
        "address": {"city": "Berlin", "country": "DE", "line1": f"Street {number}", "line2": None, "state": None},
        "balance": 0,
        "created": created - 86_400,
        "currency": "usd",
        "delinquent": False,
        "email": f"{name}@example.com",
        "invoice_settings": {"custom_fields": None, "default_payment_method": None, "footer": None},
        "livemode": False,
        "metadata": {"user_id": name, **metadata},
        "name": f"step {step}",
        "preferred_locales": ["de", "en"],
        "tax_exempt": "none",
    }
    return json.dumps(
        {
            "id": f"evt_{number}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": created,
            "data": {"object": snapshot, "previous_attributes": {"name": f"step {step - 1}"}},
            "livemode": False,
            "type": "customer.updated",
        },
        indent=2,
    ).encode()


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings of a benchmark, which no env file of the machine touches."""
    return load_settings({**environment, "NSELF_ENV_FILE": os.devnull})


def worker_of(settings: Settings, statement_timeout: timedelta) -> UnitOfWork:
    """Prepare a fresh database and return a worker's way into it."""
    migrate(settings.database_url.get_secret_value())
    engine = build_engine(settings, application_name="bench")
    unit_of_work = UnitOfWork(engine, DatabaseClock(engine), statement_timeout=statement_timeout)
    with Session(engine) as session, session.begin():
        ensure_partitions(session, unit_of_work.now())
    return unit_of_work


def print_machine(unit_of_work: UnitOfWork) -> None:
    """Print what the figures depend on."""
    with unit_of_work.transaction() as session:
        version = session.execute(text("SHOW server_version")).scalar_one()
        names = ("fsync", "synchronous_commit", "max_wal_size", "checkpoint_timeout", "wal_compression")
        shown = ", ".join(f"{name} {session.execute(text(f'SHOW {name}')).scalar_one()}" for name in names)
        toast = session.execute(text("SHOW default_toast_compression")).scalar_one()
    print(
        f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}, PostgreSQL {version} on "
        f"the same machine ({shown}, toast {toast}), load average at the start {os.getloadavg()[0]:.1f}"
    )


def quiet_logs() -> None:
    """Keep the drain's own lines out of the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def _copy(session: Session, events: list[tuple[object, ...]], bodies: list[tuple[object, ...]]) -> None:
    columns = (
        *("id", "event_id", "type", "object_type", "object_id", "object_key", "customer_id", "lane", "created"),
        *("received_at", "last_delivery_at"),
    )
    session.execute(text("ALTER TABLE billing.billing_webhook_events ALTER COLUMN id DROP IDENTITY IF EXISTS"))
    copy_rows(session, "billing_webhook_events", columns, events)
    copy_rows(session, "billing_webhook_payloads", ("event_row_id", "received_at", "body"), bodies)
    events.clear()
    bodies.clear()
