"""Test clocks: customers whose time is moved by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from billing_worker.kernel.periods import add_months
from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import listing, retrieve
from billing_worker.sandbox.core.routes import CURSOR, Call, route
from billing_worker.sandbox.core.session import TEST_CLOCK, Session
from billing_worker.sandbox.core.test_clocks import depart
from billing_worker.sandbox.core.timeline import Duty
from billing_worker.sandbox.engine.standing import ENDED
from billing_worker.sandbox.operations.customers import remove_customer

_DELETES_AFTER_SECONDS = 30 * 86_400
"""Source: Stripe documentation, “Test clocks”: a simulation is deleted 30 days after its creation."""
_INTERVALS_AT_ONCE = 2
_YEARS_WITHOUT_SUBSCRIPTION = 2
"""Source: Stripe API reference, “Advance a test clock”, frozen_time."""
_BELONGINGS = ("subscription", "invoice", "invoiceitem", "subscription_schedule", "quote")


def create(call: Call) -> Document:
    """Create a test clock, frozen at an instant."""
    session, params = call.session, call.params
    clock = session.add(
        {
            "object": TEST_CLOCK,
            "created": session.recorded_at,
            "deletes_after": session.recorded_at + _DELETES_AFTER_SECONDS,
            "frozen_time": params["frozen_time"],
            "livemode": False,
            "name": params.get("name"),
            "status": "ready",
            "status_details": {},
        },
        "test_helpers.test_clock.created",
    )
    if "customer" in params:
        _adopt(session, session.get("customer", params["customer"], param="customer"), clock)
    return clock


def advance(call: Call) -> Document:
    """Send a clock to a later instant; what is due on the way happens on the way, until it is ready."""
    session, target = call.session, call.params["frozen_time"]
    clock = session.get(TEST_CLOCK, call.id)
    if clock["status"] == "advancing":
        raise invalid(
            f"The test clock {call.id} is currently advancing: wait until its status is ready.",
            code="test_clock_advancing",
        )
    if clock["status"] == "internal_failure":
        raise invalid("This test clock failed to advance and cannot be used again: delete it.")
    if target <= clock["frozen_time"]:
        raise invalid(
            f"The test clock's frozen_time must be advanced to a time after {clock['frozen_time']}.",
            param="frozen_time",
        )
    if target > _farthest(session, clock):
        raise invalid(
            "Test clocks cannot be advanced by more than two intervals of the shortest subscription on the clock, or "
            "two years where it has none.",
            param="frozen_time",
        )
    depart(session, clock, target)
    return clock


def delete(call: Call) -> Document:
    """Delete a clock with its customers."""
    delete_clock(call.session, call.session.get(TEST_CLOCK, call.id))
    return {"id": call.id, "object": TEST_CLOCK, "deleted": True}


def delete_clock(session: Session, clock: Document) -> None:
    """Delete a clock, its customers and all that is theirs."""
    session.follow(clock)
    for customer in session.select("customer", "test_clock", clock["id"]):
        remove_customer(session, customer)
    session.tell("test_helpers.test_clock.deleted", clock)
    session.remove(clock)


def _adopt(session: Session, customer: Document, clock: Document) -> None:
    if customer["test_clock"]:
        raise invalid(f"The customer {customer['id']} already has a test clock.", param="customer")
    if clock["frozen_time"] < session.recorded_at:
        raise invalid("An existing customer's time cannot go back: choose a later frozen_time.", param="frozen_time")
    customer["test_clock"] = clock["id"]
    session.tell_changes(customer)
    for kind in _BELONGINGS:
        for found in session.scan(kind, lambda document: document.get("customer") == customer["id"]):
            document = session.get(kind, found["id"])
            document["test_clock"] = clock["id"]
            session.tell_changes(document)


def _farthest(session: Session, clock: Document) -> int:
    at = datetime.fromtimestamp(clock["frozen_time"], UTC)
    limits = [
        _after(at, item["price"]["recurring"])
        for subscription in session.scan("subscription", lambda document: document["test_clock"] == clock["id"])
        if subscription["status"] not in ENDED
        for item in subscription["items"]["data"]
    ]
    return int(min(limits, default=add_months(at, 12 * _YEARS_WITHOUT_SUBSCRIPTION)).timestamp())


def _after(at: datetime, recurring: Document) -> datetime:
    count = _INTERVALS_AT_ONCE * recurring["interval_count"]
    match recurring["interval"]:
        case "day":
            return at + timedelta(days=count)
        case "week":
            return at + timedelta(weeks=count)
        case "month":
            return add_months(at, count)
        case _:
            return add_months(at, 12 * count)


DUTIES = {TEST_CLOCK: Duty(lambda clock: int(clock["deletes_after"]), delete_clock)}
"""A forgotten clock goes by itself."""

OPERATIONS = [
    route("POST", "/v1/test_helpers/test_clocks", create, "frozen_time name customer"),
    route("GET", "/v1/test_helpers/test_clocks", listing(TEST_CLOCK, "/v1/test_helpers/test_clocks"), CURSOR),
    route("GET", "/v1/test_helpers/test_clocks/{test_clock}", retrieve(TEST_CLOCK)),
    route("POST", "/v1/test_helpers/test_clocks/{test_clock}/advance", advance, "frozen_time"),
    route("DELETE", "/v1/test_helpers/test_clocks/{test_clock}", delete),
]
