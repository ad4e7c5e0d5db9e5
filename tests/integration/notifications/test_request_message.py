"""An operator tells a customer something: about the right object, once a day."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.notifications.errors import NothingToTellError
from billing_worker.domains.notifications.services.render_message import Reader, render_message
from billing_worker.domains.notifications.services.request_message import RequestedMessage, request_message
from billing_worker.domains.notifications.states import Template
from tests.support.deliveries import RecordingReactions, customer, drain, event, rows, store

READER = Reader("Ann", "Example", None, ZoneInfo("UTC"))


def invoice(number: int, **fields: Any) -> dict[str, Any]:
    base = {"id": f"in_{number}", "object": "invoice", "customer": "cus_1", "currency": "usd", "number": f"A-{number}"}
    return {**base, "created": number, "status": "open", "attempt_count": 1, "amount_remaining": 1200, **fields}


@pytest.fixture
def ask(engine: Engine, unit_of_work: UnitOfWork) -> Any:
    events = [
        event("customer.created", customer()),
        event("invoice.updated", invoice(1)),
        event("invoice.updated", invoice(2)),
        event("invoice.updated", invoice(3, status="paid", amount_remaining=0, amount_paid=900)),
        event("invoice.updated", invoice(4, attempt_count=0)),
    ]
    store(engine, events, unit_of_work.now())
    drain(unit_of_work, RecordingReactions())

    def ask(name: str, customer_id: str = "cus_1", **options: Any) -> RequestedMessage:
        with unit_of_work.transaction() as session:
            return request_message(session, customer_id, name, now=unit_of_work.now(), **options)

    return ask


@pytest.mark.parametrize(
    ("name", "about", "subject"),
    [
        ("payment_failed", "in_2", "Your payment of 12.00 USD did not go through"),
        ("invoice_payment_failed", "in_2", "Your payment of 12.00 USD did not go through"),
        ("receipt", "in_3", "Your receipt: 9.00 USD for invoice A-3"),
    ],
)
def test_the_newest_object_that_fits_is_told_of_once_a_day(
    ask: Any, session: Session, name: str, about: str, subject: str
) -> None:
    assert ask(name, is_dry_run=True).about == about
    query = "SELECT kind, customer_id, status, payload FROM billing_effects WHERE kind LIKE 'mail.%'"
    assert rows(session, query) == []
    first, second = ask(name), ask(name)
    assert (first.about, first.is_new, second.is_new) == (about, True, False)
    [(kind, customer_id, status, payload)] = rows(session, query)
    assert (kind, customer_id, status) == (f"mail.{first.template}", "cus_1", "pending")
    assert render_message(Template(first.template), payload, READER).subject == subject


@pytest.mark.parametrize(
    ("name", "said"), [("trial_ending", "has no subscription"), ("apology", "payment_failed, receipt, trial_ending")]
)
def test_there_has_to_be_something_to_tell(ask: Any, session: Session, name: str, said: str) -> None:
    with pytest.raises(NothingToTellError, match=said):
        ask(name)
    assert rows(session, "SELECT count(*) FROM billing_effects WHERE kind LIKE 'mail.%'") == [(0,)]
