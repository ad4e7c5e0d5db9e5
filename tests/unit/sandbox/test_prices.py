"""Prices: units, blocks, tiers, decimals; periods that keep their anchor."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.sandbox.engine.prices import period_end, price_amount

TIERS = [
    {"up_to": 10, "unit_amount": 100, "flat_amount": 500},
    {"up_to": 20, "unit_amount": 50},
    {"up_to": "inf", "unit_amount_decimal": "12.5"},
]


def price(unit: str = "100", *, interval: str = "month", count: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "billing_scheme": "per_unit",
        "unit_amount_decimal": unit,
        "transform_quantity": None,
        "tiers_mode": None,
        "recurring": {"interval": interval, "interval_count": count},
        "_tiers": None,
        **fields,
    }


@pytest.mark.parametrize(
    ("given_price", "quantity", "expected"),
    [
        (price("100"), 3, 300),
        (price("0.5"), 3, 2),  # 1.5, half up
        (price("0.1"), 4, 0),
        (price("100", transform_quantity={"divide_by": 10, "round": "up"}), 11, 200),
        (price("100", transform_quantity={"divide_by": 10, "round": "down"}), 19, 100),
        (price(billing_scheme="tiered", tiers_mode="graduated", _tiers=TIERS), 0, 500),
        (price(billing_scheme="tiered", tiers_mode="graduated", _tiers=TIERS), 10, 1500),
        (price(billing_scheme="tiered", tiers_mode="graduated", _tiers=TIERS), 11, 1550),
        (price(billing_scheme="tiered", tiers_mode="graduated", _tiers=TIERS), 30, 1000 + 500 + 500 + 125),
        (price(billing_scheme="tiered", tiers_mode="volume", _tiers=TIERS), 10, 1500),
        (price(billing_scheme="tiered", tiers_mode="volume", _tiers=TIERS), 11, 550),
        (price(billing_scheme="tiered", tiers_mode="volume", _tiers=TIERS), 100, 1250),
    ],
)
def test_amounts(given_price: dict[str, Any], quantity: int, expected: int) -> None:
    assert price_amount(given_price, quantity) == expected


anchors = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - made aware by the strategy
    lambda moment: int(moment.timestamp())
)


@given(
    anchor=anchors,
    later=st.integers(0, 900 * 86_400),
    interval=st.sampled_from(["day", "week", "month", "year"]),
    count=st.integers(1, 6),
)
def test_a_period_ends_after_its_start_and_on_the_anchors_grid(
    anchor: int, later: int, interval: str, count: int
) -> None:
    start = anchor + later
    monthly = price(interval=interval, count=count)
    end = period_end(monthly, anchor, start)
    assert end > start
    first = datetime.fromtimestamp(anchor, UTC)
    last = datetime.fromtimestamp(end, UTC)
    assert first.time() == last.time()
    if interval in {"month", "year"}:
        assert last.day == first.day or (last.day < first.day and (last.day >= 28))
        months = (last.year - first.year) * 12 + last.month - first.month
        assert months % (count * (12 if interval == "year" else 1)) == 0
    else:
        assert (end - anchor) % (86_400 * count * (7 if interval == "week" else 1)) == 0
    assert period_end(monthly, anchor, end - 1) == end
