from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.inbox.order import SecondEvent, canonical, last_of_second
from billing_worker.mirror.progress import EVER_EQUAL, INVOICE


def made(
    row: int,
    snapshot: dict[str, Any],
    previous: dict[str, Any] | None = None,
    *,
    starts: bool = False,
    ends: bool = False,
) -> SecondEvent:
    return SecondEvent(row, f"evt_{row}", snapshot, previous or {}, starts=starts, ends=ends)


def test_equal_snapshots_need_no_order() -> None:
    events = [made(1, {"a": 1, "b": None}), made(2, {"a": 1})]
    winner = last_of_second(None, events, EVER_EQUAL)
    assert winner is not None
    assert canonical(winner.snapshot) == canonical({"a": 1})


def test_there_and_back_ends_where_it_began() -> None:
    there, back = made(1, {"x": "B"}, {"x": "A"}), made(2, {"x": "A"}, {"x": "B"})
    assert last_of_second({"x": "A"}, [back, there], EVER_EQUAL) is back


def test_there_back_and_there_again_counts_equal_transitions_each() -> None:
    there, back, again = (
        made(1, {"x": "B"}, {"x": "A"}),
        made(2, {"x": "A"}, {"x": "B"}),
        made(3, {"x": "B"}, {"x": "A"}),
    )
    for arrival in itertools.permutations((there, back, again)):
        winner = last_of_second({"x": "A"}, arrival, EVER_EQUAL)
        assert winner is not None
        assert winner.snapshot == {"x": "B"}


def test_the_same_flip_without_a_known_start_proves_nothing() -> None:
    there, back = made(1, {"x": "B"}, {"x": "A"}), made(2, {"x": "A"}, {"x": "B"})
    assert last_of_second(None, [there, back], EVER_EQUAL) is None


def test_a_missing_middle_event_breaks_the_chain() -> None:
    first, third = made(1, {"x": 1}, {"x": 0}), made(3, {"x": 3}, {"x": 2})
    assert last_of_second({"x": 0}, [first, third], EVER_EQUAL) is None


def test_nested_hashes_are_compared_key_by_key_and_arrays_whole() -> None:
    first = made(1, {"m": {"a": 1, "b": 2}, "l": [1, 2]}, {"m": {"b": None}, "l": [1]})
    second = made(2, {"m": {"a": 5, "b": 2}, "l": [1, 2]}, {"m": {"a": 1}})
    assert last_of_second({"m": {"a": 1}, "l": [1]}, [second, first], EVER_EQUAL) is second
    assert last_of_second({"m": {"a": 1}, "l": [1, 3]}, [second, first], EVER_EQUAL) is None


def test_empty_previous_attributes_prove_nothing() -> None:
    assert last_of_second({"x": 0}, [made(1, {"x": 1}), made(2, {"x": 2})], EVER_EQUAL) is None


def test_a_creation_is_a_known_start() -> None:
    born, grown = made(2, {"x": 1}, starts=True), made(1, {"x": 2}, {"x": 1})
    assert last_of_second(None, [grown, born], EVER_EQUAL) is grown


def test_a_deletion_is_the_end() -> None:
    gone, changed = made(1, {"x": 1}, ends=True), made(2, {"x": 2}, {"x": 1})
    assert last_of_second(None, [gone, changed], EVER_EQUAL) is gone


def test_monotone_progress_orders_what_has_no_previous_attributes() -> None:
    finalized = made(1, {"status": "open", "attempt_count": 0, "amount_paid": 0})
    paid = made(2, {"status": "paid", "attempt_count": 1, "amount_paid": 500})
    assert last_of_second(None, [paid, finalized], INVOICE) is paid


def test_progress_that_contradicts_itself_proves_nothing() -> None:
    one = made(1, {"status": "open", "attempt_count": 3, "amount_paid": 0})
    other = made(2, {"status": "paid", "attempt_count": 1, "amount_paid": 500})
    assert last_of_second(None, [one, other], INVOICE) is None


@pytest.mark.parametrize("base", [{"x": 0}, None], ids=["known start", "unknown start"])
@given(states=st.lists(st.integers(0, 3), min_size=2, max_size=6), seed=st.randoms(use_true_random=False))
def test_no_arrival_order_changes_the_answer_and_a_proof_is_never_wrong(
    base: dict[str, int] | None,
    states: list[int],
    seed: Any,
) -> None:
    # A history in which each event says what stood before: 0 → s1 → s2 …; equal neighbours are no events.
    path = [0] + [s for s, before in zip(states, [0, *states], strict=False) if s != before]
    events = [
        made(number, {"x": after}, {"x": before}) for number, (before, after) in enumerate(itertools.pairwise(path), 1)
    ]
    if not events:
        return
    shuffled = list(events)
    seed.shuffle(shuffled)
    answer, again = last_of_second(base, events, EVER_EQUAL), last_of_second(base, shuffled, EVER_EQUAL)
    assert (answer is None) == (again is None)
    if answer is not None and again is not None:
        assert answer.snapshot == again.snapshot
        if base is not None:
            assert answer.snapshot == {"x": path[-1]}
    assert answer is not None or base is None


def test_many_possible_paths_are_no_work_without_end() -> None:
    # A flag goes to and fro while another field changes that no event tells of: half a million paths, two ends.
    flips = [made(n, {"x": "BA"[n % 2], "untold": n}, {"x": "AB"[n % 2]}) for n in range(12)]
    assert last_of_second({"x": "A"}, flips, EVER_EQUAL) is None


@given(
    moves=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)), min_size=2, max_size=5),
)
def test_a_chain_is_what_trying_every_path_finds(moves: list[tuple[int, int, int]]) -> None:
    events = [made(n, {"x": after, "y": y}, {"x": before}) for n, (before, after, y) in enumerate(moves)]
    if len({canonical(event.snapshot) for event in events}) == 1:
        return
    ends = {
        canonical(path[-1].snapshot)
        for path in itertools.permutations(events)
        if all(
            event.previous["x"] == was for event, was in zip(path, [0, *(e.snapshot["x"] for e in path)], strict=False)
        )
    }
    answer = last_of_second({"x": 0, "y": 0}, events, EVER_EQUAL)
    assert (answer and canonical(answer.snapshot)) == (ends.pop() if len(ends) == 1 else None)
