from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.mirror.extract import Extractor, ShapeError, first_of, instant, integer, reference, text
from billing_worker.mirror.normalise import normalise
from billing_worker.mirror.registry import REGISTRY

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIXTURES = Path(__file__).parents[4] / "shared" / "stripe" / "fixtures3.json"


@given(JSON)
def test_extractors_answer_or_name_the_field_whatever_the_json(value: Any) -> None:
    extractors = (text("f"), integer("f"), instant("f"), reference("f"), first_of(text("f"), integer("f")))
    complaints = [complaint_of(extract, {"f": value}) for extract in extractors]
    assert all(complaint is None or complaint.startswith("f is") for complaint in complaints)


def complaint_of(extract: Extractor, data: dict[str, Any]) -> str | None:
    try:
        extract(data)
    except ShapeError as error:
        return error.detail
    return None


def test_a_reference_is_an_id_or_an_expanded_object() -> None:
    assert reference("customer")({"customer": "cus_1"}) == "cus_1"
    assert reference("customer")({"customer": {"id": "cus_1", "object": "customer"}}) == "cus_1"
    assert reference("customer")({"customer": None}) is None


def test_required_fields_are_named_when_absent() -> None:
    with pytest.raises(ShapeError, match=r"invoice\.status is required and absent"):
        REGISTRY["invoice"].promote({"id": "in_1", "currency": "usd"})


def test_an_object_needs_an_id_unless_its_customer_has_exactly_one() -> None:
    with pytest.raises(ShapeError, match=r"subscription\.id is required and absent"):
        REGISTRY["subscription"].promote({"object": "subscription", "customer": "cus_1", "status": "active"})
    assert REGISTRY["cash_balance"].promote({"object": "cash_balance", "customer": "cus_1"}) == {"customer_id": "cus_1"}


def test_old_subscription_periods_move_to_the_items_and_todays_stay() -> None:
    old = {"current_period_end": 9, "current_period_start": 1, "items": {"data": [{"id": "si_1"}]}}
    moved = normalise("subscription", old)
    assert moved["items"]["data"] == [{"id": "si_1", "current_period_start": 1, "current_period_end": 9}]
    assert old["items"] == {"data": [{"id": "si_1"}]}
    today = {"items": {"data": [{"id": "si_1", "current_period_end": 7}]}}
    assert normalise("subscription", today) == today


@pytest.mark.skipif(not FIXTURES.exists(), reason="Stripe's example objects are not beside this checkout")
def test_stripes_own_example_objects_are_understood() -> None:
    resources = json.loads(FIXTURES.read_text())["resources"]
    promoted = {name: REGISTRY[name].promote(resources[name]) for name in REGISTRY if name in resources}
    assert len(promoted) >= 30
    assert promoted["subscription"]["customer_id"] == "cus_QXg1o8vcGmoR32"
    assert promoted["price"]["unit_amount_minor"] == 2000
