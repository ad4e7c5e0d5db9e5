"""The order of an object's events as operators see it, with what proves each place."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.objects import NotMirroredError, SeveralObjectsError, get_object_key
from billing_worker.inbox.services.describe_order import describe_order
from billing_worker.inbox.services.fetch_parked import fetch_parked
from billing_worker.inbox.services.ingest_snapshot import ingest_snapshot
from billing_worker.inbox.states import Source
from billing_worker.kernel.clock import FixedClock, from_unix
from billing_worker.kernel.errors import NotFoundError
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.errors import StripeNotFound
from tests.support.deliveries import EPOCH, RecordingReactions, customer, drain, event, rows, store


class Stripe:
    """Stripe as it answers for one object: with a snapshot, or with 404."""

    def __init__(self, data: dict[str, Any] | None) -> None:
        self._data = data

    def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
        assert (object_type, object_id, account_id) == ("customer", "cus_1", "")
        if self._data is None:
            raise StripeNotFound("no such customer")
        return Retrieved(data=self._data, observed_at=from_unix(EPOCH + 100))


def order_of(session: Session, *, limit: int = 50) -> list[tuple[Any, ...]]:
    found = describe_order(session, get_object_key(session, "cus_1"), limit=limit)
    session.rollback()
    return [(one.position, one.arrival, one.event_id, one.decided_by, one.is_state) for one in found]


def test_each_place_is_told_with_its_proof(engine: Engine, unit_of_work: UnitOfWork, session: Session) -> None:
    def updated(step: int, at: int, **fields: Any) -> dict[str, Any]:
        return event("customer.updated", customer(name=str(step)), created=EPOCH + at, event_id=f"evt_{step}", **fields)

    history = {
        0: event("customer.created", customer(name="0"), created=EPOCH, event_id="evt_0"),
        1: updated(1, 5, previous={"name": "0"}),
        2: updated(2, 5, previous={"name": "1"}),
        3: updated(3, 5, previous={"name": "2"}),
        4: updated(4, 9),
        5: {**updated(4, 9), "id": "evt_5"},
        6: event("customer.deleted", customer(name="4"), created=EPOCH + 12, event_id="evt_6"),
        7: updated(7, 12, previous={"name": "4"}),
    }
    store(engine, [history[n] for n in (6, 3, 2, 7, 0, 5, 1, 4)], unit_of_work.now())
    assert {row[3] for row in order_of(session)} == {"waits"}
    drain(unit_of_work, RecordingReactions())
    assert order_of(session) == [
        (1, 5, "evt_0", "alone", False),
        (2, 7, "evt_1", "chain", False),
        (3, 3, "evt_2", "chain", False),
        (4, 2, "evt_3", "chain", False),
        (5, 8, "evt_4", "equal", False),
        (6, 6, "evt_5", "equal", False),
        (7, 4, "evt_7", "ends", False),
        (8, 1, "evt_6", "ends", True),
    ]
    assert [row[2] for row in order_of(session, limit=2)] == ["evt_7", "evt_6"]
    assert rows(session, "SELECT version_event_id FROM billing_customers") == [("evt_6",)]


@pytest.mark.parametrize(("answer", "proof"), [({"id": "cus_1", "object": "customer"}, "fetch"), (None, "arrival")])
def test_what_only_stripe_could_tell_is_marked_so(
    engine: Engine,
    unit_of_work: UnitOfWork,
    session: Session,
    clock: FixedClock,
    answer: dict[str, Any] | None,
    proof: str,
) -> None:
    tied = [event("customer.updated", customer(name=name), event_id=f"evt_{name}") for name in "ba"]
    store(engine, tied, clock.now())
    drain(unit_of_work, RecordingReactions())
    assert {row[3] for row in order_of(session)} == {"waits"}
    clock.advance(timedelta(seconds=10))
    fetch_parked(unit_of_work, Stripe(answer), wake=lambda _lane: True)
    drain(unit_of_work, RecordingReactions())
    told = order_of(session)
    assert [row[2:4] for row in told[:2]] == [("evt_b", proof), ("evt_a", proof)]
    assert [(row[3], row[4]) for row in told[2:]] == ([] if answer is None else [("snapshot", True)])
    later = event("customer.updated", customer(name="c"), created=EPOCH + 500, event_id="evt_c")
    store(engine, [later], clock.now())
    drain(unit_of_work, RecordingReactions())
    assert order_of(session)[-1][2:] == ("evt_c", "alone", True)


def test_a_second_that_was_only_passed_through_needed_no_proof(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    tied = [event("customer.updated", customer(name=name), event_id=f"evt_{name}") for name in "ba"]
    after = event("customer.updated", customer(name="c"), created=EPOCH + 1, event_id="evt_c")
    store(engine, [*tied, after], clock.now())
    drain(unit_of_work, RecordingReactions())
    assert [row[3] for row in order_of(session)] == ["passed", "passed", "alone"]
    with unit_of_work.transaction() as writing:
        snapshot = customer(name="early")
        ingest_snapshot(
            writing,
            account_id="",
            obj=snapshot,
            source=Source.RECONCILE,
            observed_at=from_unix(EPOCH + 1),
            now=clock.now(),
        )
    drain(unit_of_work, RecordingReactions())
    # A snapshot of ours stands before the events of its own second and never is the state.
    assert [row[3:] for row in order_of(session)[2:]] == [("snapshot", False), ("alone", True)]


def test_an_id_is_one_object_or_refused(engine: Engine, session: Session, unit_of_work: UnitOfWork) -> None:
    own, connected = (event("customer.created", customer(), event_id=f"evt_{n}") for n in range(2))
    widget = event("widget.made", {"id": "wid_1", "object": "widget"})
    store(engine, [own, {**connected, "account": "acct_1"}, widget], unit_of_work.now())
    with pytest.raises(SeveralObjectsError, match=r"acct_1.*--account"):
        get_object_key(session, "cus_1")
    assert get_object_key(session, "cus_1", account_id="acct_1") == "acct_1/customer/cus_1"
    assert get_object_key(session, "cus_1", account_id="") == "/customer/cus_1"
    with pytest.raises(NotFoundError, match="cus_9"):
        get_object_key(session, "cus_9")
    with pytest.raises(NotMirroredError, match="widget"):
        describe_order(session, "/widget/wid_1", limit=5)
