from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.domains.reconciliation.rules import DEFAULT_TYPES, Scope, check_types, compute_differences
from billing_worker.kernel.errors import InvalidValueError

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdef", max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcdef", max_size=3), JSON, max_size=5))
def test_an_object_equals_itself_also_with_its_nulls_left_out(obj: dict[str, Any]) -> None:
    bare = {name: value for name, value in obj.items() if value is not None}
    assert compute_differences("customer", obj, obj) == {}
    assert compute_differences("customer", obj, bare) == {}
    assert compute_differences("customer", bare, obj) == {}


@pytest.mark.parametrize(
    ("stripe", "here", "differing"),
    [
        ({"name": "a"}, {"name": "b"}, ["name"]),
        ({"metadata": {"a": "1", "b": "2"}}, {"metadata": {"a": "1"}}, ["metadata.b"]),
        ({"customer": {"id": "cus_1", "object": "customer"}}, {"customer": "cus_1"}, []),
        ({"customer": "cus_1"}, {"customer": {"id": "cus_2", "object": "customer"}}, ["customer"]),
        ({"livemode": False}, {"livemode": 0}, ["livemode"]),
        ({"livemode": False}, {}, ["livemode"]),
        ({"amount": 0}, {}, ["amount"]),
        ({"preferred_locales": []}, {}, ["preferred_locales"]),
        ({"lines": {"object": "list", "url": "/a", "data": [{"id": 1}]}}, {"lines": {"data": [{"id": 1}]}}, []),
        ({"items": [1, 2]}, {"items": [1]}, ["items"]),
        ({"items": [{"q": 1}]}, {"items": [{"q": 2}]}, ["items[0].q"]),
        ({"tax": {"location": None}}, {"tax": None}, []),
    ],
)
def test_fields_are_compared_by_meaning(stripe: dict[str, Any], here: dict[str, Any], differing: list[str]) -> None:
    if "lines" in stripe:
        here["lines"]["object"] = "list"
    assert list(compute_differences("customer", stripe, here)) == differing


def test_volatile_fields_do_not_count_for_the_type_that_has_them() -> None:
    old, new = {"hosted_invoice_url": "a"}, {"hosted_invoice_url": "b"}
    assert compute_differences("invoice", old, new) == {}
    assert list(compute_differences("customer", old, new)) == ["hosted_invoice_url"]


def test_long_values_are_shortened_and_personal_ones_masked() -> None:
    found = compute_differences("product", {"url": "x" * 500, "active": True}, {"url": None, "active": False})
    assert found == {"active": {"stripe": True, "here": False}, "url": {"stripe": "x" * 120, "here": None}}
    stripe = {"email": "a@example.com", "shipping": {"address": {"city": "Rome"}}, "metadata": {"vat": "1"}}
    assert compute_differences("customer", stripe, {"email": "b@example.com"}) == {
        "email": {"stripe": "***", "here": "***"},
        "metadata": {"stripe": "***", "here": None},
        "shipping": {"stripe": "***", "here": None},
    }


def test_a_scope_survives_its_row_and_walks_its_types() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    scope = Scope(types=("customer", "subscription", "billing.meter"), start=start, batch_size=10, heals=False)
    assert Scope.read(scope.stored()) == scope
    assert scope.list_params("customer") == {"created": {"gte": int(start.timestamp())}}
    assert scope.list_params("subscription") == {"status": "all", "created": {"gte": int(start.timestamp())}}
    assert scope.list_params("billing.meter") == {}
    assert [scope.next_type(name) for name in scope.types] == ["subscription", "billing.meter", None]


def test_types_that_cannot_be_listed_are_refused() -> None:
    assert check_types(DEFAULT_TYPES) == DEFAULT_TYPES
    for names in (("customer", "mandate"), ("nonsense",), ()):
        with pytest.raises(InvalidValueError, match=r"one of balance_transaction, billing\.meter, charge"):
            check_types(names)
