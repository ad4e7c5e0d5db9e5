"""Bracketed keys become levels, and what changed is told so that it can be undone."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.sandbox.core.documents import clone, previous_attributes, public
from billing_worker.sandbox.core.errors import ApiError
from billing_worker.sandbox.core.pagination import in_range, page
from billing_worker.sandbox.core.wire import decode_form

names = st.text("abcdefgh_", min_size=1, max_size=6)
scalars = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4))
documents = st.dictionaries(names.filter(lambda name: not name.startswith("_")), values, max_size=6)

leaves = st.recursive(st.text(max_size=5), lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3))
trees = st.dictionaries(names, leaves, max_size=5)


def flatten(value: Any, prefix: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in flatten(inner, f"{prefix}[{key}]" if prefix else key)]
    return [(prefix, value)]


def undo(after: Any, previous: Any) -> Any:
    if isinstance(previous, dict) and isinstance(after, dict):
        return {**after, **{key: undo(after.get(key), value) for key, value in previous.items()}}
    return previous


def bare(value: Any) -> Any:
    """Null equals absent, and a hash of nothing but nulls is empty."""
    if isinstance(value, dict):
        return {key: bare(inner) for key, inner in value.items() if inner is not None}
    return value


@given(trees)
def test_nested_forms_come_back_as_they_were(tree: dict[str, Any]) -> None:
    assert decode_form(urlencode(flatten(tree, ""))) == tree


@given(st.text(max_size=200))
def test_no_form_whatever_crashes(body: str) -> None:
    try:
        decoded = decode_form(body)
    except ApiError:
        return
    assert all(isinstance(value, str | dict) for value in decoded.values())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", {}),
        ("a=1&a=2", {"a": "2"}),
        ("expand[]=x&expand[]=y", {"expand": {"0": "x", "1": "y"}}),
        ("items[0][price]=p&items[0][quantity]=2", {"items": {"0": {"price": "p", "quantity": "2"}}}),
        ("metadata[k%20k]=%C3%A9", {"metadata": {"k k": "é"}}),
        ("a=", {"a": ""}),
    ],
)
def test_forms(body: str, expected: dict[str, Any]) -> None:
    assert decode_form(body) == expected


@pytest.mark.parametrize(
    "body", ["[a]=1", "a[=1", "a]=1", "a[b]c=1", "a=1&a[b]=2", "a[b]=2&a=1", "a" + "[b]" * 12 + "=1"]
)
def test_forms_that_cannot_be_nested_are_refused(body: str) -> None:
    with pytest.raises(ApiError) as refused:
        decode_form(body)
    assert refused.value.status == 400


@given(before=documents, after=documents)
def test_previous_attributes_undo_the_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert bare(undo(after, previous_attributes(before, after))) == bare(before)


@given(document=documents)
def test_no_change_has_no_previous_attributes(document: dict[str, Any]) -> None:
    assert previous_attributes(document, clone(document)) == {}


def test_previous_attributes_are_minimal_and_hide_internals() -> None:
    before = {"a": {"x": 1, "y": 2}, "list": [1, 2], "same": {"k": "v"}, "_note": 1}
    after = {"a": {"x": 1, "y": 3, "z": 4}, "list": [1], "same": {"k": "v"}, "_note": 2, "new": 5}
    assert previous_attributes(before, after) == {"a": {"y": 2, "z": None}, "list": [1, 2], "new": None}


def test_public_copies_share_nothing() -> None:
    document = {"a": {"b": [1]}, "_secret": "x"}
    copy = public(document)
    copy["a"]["b"].append(2)
    assert (document["a"], "_secret" in copy) == ({"b": [1]}, False)


@given(count=st.integers(0, 40), limit=st.integers(1, 12))
def test_walking_pages_in_both_directions_meets_everything_once(count: int, limit: int) -> None:
    newest_first = [{"id": f"x_{number}"} for number in reversed(range(count))]
    forward: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": limit}
    while True:
        got = page(newest_first, params, "/v1/x")
        forward += got["data"]
        if not got["has_more"]:
            break
        params = {"limit": limit, "starting_after": got["data"][-1]["id"]}
    assert forward == newest_first
    if newest_first:
        backward: list[dict[str, Any]] = [newest_first[-1]]
        while True:
            got = page(newest_first, {"limit": limit, "ending_before": backward[0]["id"]}, "/v1/x")
            backward = got["data"] + backward
            if not got["has_more"]:
                break
        assert backward == newest_first


@pytest.mark.parametrize(
    ("value", "bound", "expected"),
    [
        (5, None, True),
        (5, 5, True),
        (5, 4, False),
        (5, {"gte": 5, "lt": 6}, True),
        (5, {"gt": 5}, False),
        (None, {"gt": 1}, False),
    ],
)
def test_ranges(value: int | None, bound: Any, *, expected: bool) -> None:
    assert in_range(value, bound) is expected
