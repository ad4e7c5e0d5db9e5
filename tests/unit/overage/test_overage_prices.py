"""Units beyond a quota cost what Stripe's own examples say, and what the sandbox bills for the same price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.domains.overage.errors import InvalidOveragePriceError
from billing_worker.domains.overage.rules import (
    compute_charge,
    compute_granted,
    compute_overage_units,
    read_stripe_price,
    read_written_price,
)
from billing_worker.sandbox.engine.prices import price_amount

TIERS = [
    {"up_to": 5, "unit_amount": 700},
    {"up_to": 10, "unit_amount": 650},
    {"up_to": "inf", "unit_amount": 600},
]
"""Source: Stripe documentation, “Tiered pricing”: 5 at $7, the next 5 at $6.50, all others at $6."""


def written(**given: Any) -> Any:
    return read_written_price("test", {"currency": "usd", **given})


@pytest.mark.parametrize(("units", "amount"), [(1, 700), (5, 3500), (6, 4150), (10, 6750), (15, 9750), (20, 12750)])
def test_graduated_tiers_as_stripe_documents_them(units: int, amount: int) -> None:
    assert compute_charge(written(mode="graduated", tiers=TIERS), units).amount_minor == amount


@pytest.mark.parametrize(("units", "amount"), [(1, 700), (5, 3500), (6, 3900), (10, 6500), (11, 6600), (20, 12000)])
def test_volume_tiers_as_stripe_documents_them(units: int, amount: int) -> None:
    assert compute_charge(written(mode="volume", tiers=TIERS), units).amount_minor == amount


def test_flat_fees_packages_minimum_and_cap() -> None:
    flat = [{"up_to": 10, "unit_amount": 5, "flat_amount": 100}, {"up_to": "inf", "unit_amount": 2, "flat_amount": 50}]
    assert compute_charge(written(tiers=flat), 12).amount_minor == 100 + 50 + 50 + 4
    assert compute_charge(written(tiers=flat, mode="volume"), 12).amount_minor == 24 + 50
    packages = written(unit_amount=250, package={"size": 100})
    assert [compute_charge(packages, units).amount_minor for units in (0, 1, 100, 101)] == [0, 250, 250, 500]
    whole = written(unit_amount=250, package={"size": 100, "round": "down"})
    assert [compute_charge(whole, units).amount_minor for units in (99, 199)] == [0, 250]
    bounded = written(unit_amount=1, minimum=50, cap=80)
    assert [compute_charge(bounded, units).amount_minor for units in (0, 1, 60, 500)] == [0, 50, 60, 80]
    assert sum(part.amount_minor for part in compute_charge(bounded, 500).parts) == 80


def test_the_guides_example() -> None:
    units = compute_overage_units(used=1500, limit=1000)
    assert compute_charge(written(unit_amount=10), units).amount_minor == 5000
    assert compute_charge(written(unit_amount="0.35"), 3).amount_minor == 1  # 1.05
    assert compute_charge(written(unit_amount="0.5"), 3).amount_minor == 2  # 1.5


def test_no_digit_is_lost_at_the_largest_use() -> None:
    units = 2**63 - 1
    assert compute_charge(written(unit_amount="1.000000000001"), units).amount_minor == units + 9_223_372


def test_a_limit_that_changed_counts_for_the_time_it_held_in_the_customers_favour() -> None:
    def granted(limit: int, before: int, held: int) -> int:
        return compute_granted(limit, limit_seconds=before * (30 - held), held_seconds=held, period_seconds=30)

    assert granted(1000, 10_000, held=20) == 4000  # a downgrade: ten days of 10,000, twenty of 1,000
    assert granted(1000, 1001, held=20) == 1001  # 1000.33
    assert granted(10_000, 1000, held=1) == 10_000  # an upgrade: the limit that was shown
    assert granted(1000, 0, held=30) == 1000


@pytest.mark.parametrize(
    ("price", "names"),
    [
        ({"currency": "usd"}, "unit_amount"),
        ({"currency": "usd", "unit_amount": 0.1}, "'0.5'"),
        ({"currency": "usd", "unit_amount": -1}, "-1"),
        ({"currency": "dollars", "unit_amount": 1}, "usd"),
        ({"currency": "usd", "tiers": [{"up_to": 5, "unit_amount": 1}]}, "inf"),
        ({"currency": "usd", "tiers": [{"up_to": 5}, {"up_to": 5}, {"up_to": "inf"}]}, "above the one before"),
        ({"currency": "usd", "unit_amount": 1, "rate": 2}, "rate"),
        ({"currency": "usd", "unit_amount": 1, "minimum": 5, "cap": 2}, "cap"),
        ({"currency": "usd", "unit_amount": 1, "package": {"size": "many"}}, "many"),
        ({"currency": "usd", "mode": "stairs", "tiers": TIERS}, "stairs"),
    ],
)
def test_a_price_that_says_nothing_sensible_is_refused_with_a_right_one(price: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidOveragePriceError, match=names):
        read_written_price("test", price)


AMOUNTS = st.integers(0, 10**6).map(lambda number: f"{Decimal(number).scaleb(-3):f}")


@st.composite
def stripe_prices(draw: st.DrawFn) -> dict[str, Any]:
    """Prices as Stripe answers them with tiers expanded."""
    base: dict[str, Any] = {"id": "price_1", "currency": "usd", "metadata": {}, "transform_quantity": None}
    if draw(st.booleans()):
        transform = {"divide_by": draw(st.integers(1, 50)), "round": draw(st.sampled_from(["up", "down"]))}
        per_unit = {"billing_scheme": "per_unit", "tiers_mode": None, "unit_amount_decimal": draw(AMOUNTS)}
        return base | per_unit | {"transform_quantity": draw(st.sampled_from([None, transform]))}
    bounds = sorted(draw(st.sets(st.integers(1, 500), max_size=4)))
    tiers = [
        {"up_to": bound, "unit_amount_decimal": draw(AMOUNTS), "flat_amount_decimal": draw(AMOUNTS)}
        for bound in (*bounds, None)
    ]
    return base | {
        "billing_scheme": "tiered",
        "tiers_mode": draw(st.sampled_from(["graduated", "volume"])),
        "unit_amount_decimal": None,
        "tiers": tiers,
    }


@given(price=stripe_prices(), units=st.integers(1, 2000))
def test_the_same_price_costs_the_same_here_at_stripe_and_in_yaml(price: dict[str, Any], units: int) -> None:
    ours = compute_charge(read_stripe_price(price), units)
    assert ours.amount_minor == price_amount({**price, "_tiers": price.get("tiers")}, units)
    assert ours.amount_minor == sum(part.amount_minor for part in ours.parts)
    transform = price["transform_quantity"] or {}
    yaml: dict[str, Any] = {"currency": "usd"}
    if transform:
        yaml["package"] = {"size": transform["divide_by"], "round": transform["round"]}
    if price["billing_scheme"] == "tiered":
        yaml["mode"] = price["tiers_mode"]
        yaml["tiers"] = [
            {
                "up_to": tier["up_to"] or "inf",
                "unit_amount": tier["unit_amount_decimal"],
                "flat_amount": tier["flat_amount_decimal"],
            }
            for tier in price["tiers"]
        ]
    else:
        yaml["unit_amount"] = price["unit_amount_decimal"]
    assert compute_charge(read_written_price("yaml", yaml), units).amount_minor == ours.amount_minor


@given(units=st.integers(0, 3000), more=st.integers(0, 100))
def test_more_units_never_cost_less_at_graduated_tiers(units: int, more: int) -> None:
    price = written(tiers=TIERS, cap=100_000)
    assert compute_charge(price, units + more).amount_minor >= compute_charge(price, units).amount_minor
