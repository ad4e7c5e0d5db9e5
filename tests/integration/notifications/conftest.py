from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.notifications.services.send_due_messages import send_due_messages
from billing_worker.domains.notifications.smtp import SmtpTransport, Transport
from billing_worker.kernel.clock import FixedClock
from billing_worker.routing.table import DISPATCHER
from billing_worker.runtime.settings import Settings
from tests.support.deliveries import customer, drain, event, store
from tests.support.mail_server import MailServer, run_mail_server

LEASE = timedelta(minutes=2)
PATIENCE = timedelta(minutes=1)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with run_mail_server() as running:
        yield running


@dataclass(frozen=True)
class Office:
    """Events in, mail out, and what is stored of it."""

    engine: Engine
    unit_of_work: UnitOfWork
    clock: FixedClock
    settings: Settings

    def happens(self, *events: Mapping[str, Any]) -> None:
        store(self.engine, events, self.clock.now())
        drain(self.unit_of_work, DISPATCHER)

    def now(self) -> int:
        return int(self.clock.now().timestamp())

    def ann(self, **fields: Any) -> dict[str, Any]:
        known = {"email": "ann@example.com", "name": "Ann", **fields}
        return event("customer.created", customer("cus_1", **known), created=self.now())

    def paid(self, invoice_id: str = "in_1", **fields: Any) -> dict[str, Any]:
        invoice = {
            "id": invoice_id,
            "object": "invoice",
            "customer": "cus_1",
            "status": "paid",
            "currency": "usd",
            "amount_due": 900,
            "amount_paid": 900,
            "amount_remaining": 0,
            "attempt_count": 1,
            "number": "A-1",
            "hosted_invoice_url": "https://invoice.example.com/1",
            **fields,
        }
        return event("invoice.paid", invoice, created=self.now())

    def send(self, transport: Transport | None = None, *, lease: timedelta = LEASE, **changes: Any) -> dict[str, int]:
        settings = self.settings.model_copy(update=changes)
        carrier = transport or SmtpTransport.from_settings(settings)
        reached = send_due_messages(self.unit_of_work, carrier, settings, lease=lease, patience=PATIENCE)
        return {status: count for status, count in reached.items() if count}

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def messages(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT status, attempts, recipient FROM billing_messages ORDER BY id")

    def effects(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT status, attempts FROM billing_effects WHERE kind LIKE 'mail.%' ORDER BY id")

    def attempts(self) -> list[str]:
        return [
            outcome for (outcome,) in self.rows("SELECT outcome FROM billing_message_attempts ORDER BY message_id, id")
        ]


@pytest.fixture
def office(
    engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock, settings: Settings, server: MailServer
) -> Office:
    mail = {
        "mail_enabled": True,
        "mail_from": "Example, Inc. <billing@example.com>",
        "mail_host": "127.0.0.1",
        "mail_port": server.port,
    }
    return Office(engine, unit_of_work, clock, settings.model_copy(update=mail))
