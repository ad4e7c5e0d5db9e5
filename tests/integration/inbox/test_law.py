"""The law: every permutation, duplication, batching and crash of the same deliveries ends like in-order delivery."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.event import listen, remove
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.fetch_parked import fetch_parked
from billing_worker.kernel.clock import FixedClock, from_unix
from billing_worker.stripe_gateway.client import Retrieved
from tests.support.deliveries import EPOCH, RecordingReactions, customer, drain, event, rows, store, subscription

History = list[dict[str, Any]]

EVERYTHING = (
    "billing_webhook_events, billing_webhook_payloads, billing_parked_objects, billing_customers, "
    "billing_subscriptions, billing_effects, billing_dirty_marks"
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Histories of up to three objects: each change a second later or in the same second, with what it replaced."""
    events: History = []
    for number in range(draw(st.integers(1, 3))):
        is_customer = draw(st.booleans())
        kind = "customer" if is_customer else "customer.subscription"
        state = customer(f"cus_{number}", name="0") if is_customer else subscription(f"sub_{number}", description="0")
        field = "name" if is_customer else "description"
        at = EPOCH + draw(st.integers(0, 3))
        events.append(event(f"{kind}.created", state, created=at, event_id=f"evt_{number}_0"))
        for step in range(1, draw(st.integers(1, 5))):
            at += draw(st.sampled_from([0, 0, 1, 5]))
            value = str(draw(st.integers(0, 2)))
            if value == state[field]:
                continue
            changed = {**state, field: value}
            events.append(
                event(
                    f"{kind}.updated",
                    changed,
                    previous={field: state[field]},
                    created=at,
                    event_id=f"evt_{number}_{step}",
                )
            )
            state = changed
        if draw(st.booleans()):
            ended = state if is_customer else {**state, "status": "canceled"}
            events.append(event(f"{kind}.deleted", ended, created=at, event_id=f"evt_{number}_end"))
    return events


class Truth:
    """Stripe as it stands after the whole history."""

    def __init__(self, history: History) -> None:
        self._objects = {one["data"]["object"]["id"]: one["data"]["object"] for one in history}
        for one in history:
            if one["type"] == "customer.deleted":
                gone = one["data"]["object"]["id"]
                self._objects[gone] = {"id": gone, "object": "customer", "deleted": True}

    def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
        assert object_type in {"customer", "subscription"}
        assert not account_id
        return Retrieved(data=self._objects[object_id], observed_at=from_unix(EPOCH + 10_000))


class Killed(BaseException):
    """What a worker's death looks like from inside: no handler sees it, its transaction is rolled back."""


@contextmanager
def killed_at(engine: Engine, statement: int) -> Iterator[None]:
    """Die before the n-th statement, if it comes to that."""
    left = itertools.count(statement, -1)

    def maybe_die(*_: object) -> None:
        if next(left) == 0:
            raise Killed

    listen(engine, "before_cursor_execute", maybe_die)
    try:
        yield
    except Killed:
        pass  # the next worker takes over from the rows
    finally:
        remove(engine, "before_cursor_execute", maybe_die)


def outcome(session: Session) -> Mapping[str, list[tuple[Any, ...]]]:
    return {
        "customers": rows(
            session, "SELECT id, data->>'name', deleted_at IS NOT NULL FROM billing_customers ORDER BY 1"
        ),
        "subscriptions": rows(
            session, "SELECT id, data->>'description', status, deleted_at FROM billing_subscriptions ORDER BY 1"
        ),
        "facts": rows(session, "SELECT effect_key FROM billing_effects ORDER BY 1"),
        "levels": rows(session, "SELECT DISTINCT subject_id FROM billing_dirty_marks ORDER BY 1"),
        "unfinished": rows(session, "SELECT event_id, status FROM billing_webhook_events WHERE status <> 'applied'"),
        "parked": rows(session, "SELECT object_key FROM billing_parked_objects"),
    }


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories(), data=st.data())
def test_any_order_of_delivery_ends_like_the_order_of_events(
    engine: Engine,
    unit_of_work: UnitOfWork,
    clock: FixedClock,
    history: History,
    data: st.DataObject,
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(history), max_size=3))
    deliveries = data.draw(st.permutations([*history, *repeated]))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(deliveries)), max_size=3)) | {len(deliveries)})
    size = data.draw(st.sampled_from([1, 2, 500]))
    # Two deaths at most: an event that is alone in three is taken for their cause, and failed on purpose.
    deaths = data.draw(st.lists(st.integers(0, 40), max_size=2))

    def deliver(
        batches: list[History], batch_size: int, deaths: Sequence[int] = ()
    ) -> Mapping[str, list[tuple[Any, ...]]]:
        with Session(engine) as session:
            session.execute(text(f"TRUNCATE {EVERYTHING} CASCADE"))
            session.execute(text("UPDATE billing_lanes SET batch_row_ids = NULL, batch_size = 0, crashes = 0"))
            session.commit()
        reactions = RecordingReactions()
        for batch in batches:
            store(engine, batch, clock.now())
            for statement in deaths:
                with killed_at(engine, statement):
                    drain(unit_of_work, reactions, batch_size=batch_size)
            drain(unit_of_work, reactions, batch_size=batch_size)
        clock.advance(timedelta(hours=1))
        while fetch_parked(unit_of_work, Truth(history), wake=lambda _lane: True):
            drain(unit_of_work, reactions, batch_size=batch_size)
        with Session(engine) as session:
            return outcome(session)

    in_order = deliver([[one] for one in history], 500)
    shuffled = deliver([deliveries[start:end] for start, end in zip([0, *cuts], cuts, strict=False)], size, deaths)
    assert in_order["unfinished"] == in_order["parked"] == []
    assert shuffled == in_order
