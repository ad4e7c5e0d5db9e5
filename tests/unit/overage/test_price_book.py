"""Which price an overage has, and that a row keeps everything its amount follows from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.domains.overage.errors import InvalidOveragePriceError
from billing_worker.domains.overage.pricing import (
    Payer,
    PriceBook,
    PricedMetric,
    list_metered,
    operator_price,
    pack_price,
    unpack_price,
)
from billing_worker.domains.overage.rules import compute_charge, read_written_price
from billing_worker.domains.overage.services.load_overage_file import load_overage_file

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOLD = Payer("", "cus_1", "usd", "sub_1", frozenset({"prod_gold"}))


def entry(source: str, *, currency: str = "usd", product: str | None = None, metric: str = "api_calls") -> PricedMetric:
    return PricedMetric(metric, read_written_price(source, {"currency": currency, "unit_amount": 10}), product)


def chosen(payer: Payer | None, *entries: PricedMetric) -> str:
    choice = PriceBook(entries).choose("api_calls", payer, since=NOW)
    return choice.price.source if choice.price else choice.why


def test_stripes_price_comes_before_the_files_and_the_own_products_before_others() -> None:
    stripe, gold = entry("price_any", product="prod_any"), entry("price_gold", product="prod_gold")
    assert chosen(GOLD, entry("file")) == "file"
    assert chosen(GOLD, entry("file"), stripe) == "price_any"
    assert chosen(GOLD, entry("file"), stripe, gold) == "price_gold"
    assert chosen(GOLD, entry("file"), entry("price_eur", currency="eur", product="prod_gold")) == "file"
    assert chosen(None, stripe) == "price_any"


def test_what_cannot_be_decided_is_said_and_not_guessed() -> None:
    assert "price_1, price_2" in chosen(GOLD, entry("price_1", product="a"), entry("price_2", product="b"))
    assert "no overage price in usd" in chosen(GOLD, entry("file", currency="eur"))
    assert "price create --type overage --metric api_calls" in chosen(GOLD)
    broken = PriceBook([entry("file")], {"api_calls": "price_1: tiers end at []"})
    assert broken.choose("api_calls", GOLD, since=NOW).why == "price_1: tiers end at []"


def subscription(*, metadata: dict[str, str], meter: str | None, usage_type: str = "metered") -> dict[str, Any]:
    price = {"product": "p", "metadata": metadata, "recurring": {"usage_type": usage_type, "meter": meter}}
    return {"items": {"data": [{"price": price}]}}


def test_a_metric_that_stripe_metered_in_the_period_is_stripes() -> None:
    by_meter = subscription(metadata={}, meter="mtr_1")
    marked = subscription(metadata={"nself_metric": "tokens"}, meter=None)
    licensed = subscription(metadata={"nself_metric": "seats"}, meter=None, usage_type="licensed")
    metered = list_metered([(by_meter, NOW), (marked, None), (licensed, None)], {"mtr_1": "api_calls"})
    assert metered == {"api_calls": NOW, "tokens": None}
    assert list_metered([(by_meter, None), (by_meter, NOW)], {"mtr_1": "api_calls"}) == {"api_calls": None}
    payer = Payer("", "cus_1", "usd", metered=metered)
    assert payer.is_metered("api_calls", NOW - timedelta(days=30))
    assert not payer.is_metered("api_calls", NOW)  # that subscription ended before this period
    assert payer.is_metered("tokens", NOW)
    assert "Stripe bills tokens itself" in PriceBook([]).choose("tokens", payer, since=NOW).why


@pytest.mark.parametrize(
    ("currency", "rate", "amount"), [("usd", "0.10", 5000), ("jpy", "2", 1000), ("bhd", "0.0105", 5250)]
)
def test_an_operators_rate_is_in_major_units_of_any_currency(currency: str, rate: str, amount: int) -> None:
    assert compute_charge(operator_price(rate, currency), 500).amount_minor == amount


@pytest.mark.parametrize("rate", ["ten", "-1", "NaN", "Infinity", "", "1e999999999"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(InvalidOveragePriceError, match=r"0\.10"):
        operator_price(rate, "usd")


AMOUNTS = st.integers(0, 10**6).map(lambda number: f"{number / 1000:.3f}")


@given(
    bounds=st.sets(st.integers(1, 500), max_size=4).map(sorted),
    amounts=st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=5, max_size=5),
    mode=st.sampled_from(["graduated", "volume"]),
    size=st.integers(1, 9),
    units=st.integers(0, 2000),
)
def test_a_kept_price_charges_what_the_price_charged(
    bounds: list[int], amounts: list[tuple[str, str]], mode: str, size: int, units: int
) -> None:
    tiers = [
        {"up_to": bound, "unit_amount": unit, "flat_amount": flat}
        for bound, (unit, flat) in zip([*bounds, "inf"], amounts, strict=False)
    ]
    terms = {"currency": "eur", "mode": mode, "tiers": tiers, "package": {"size": size}, "minimum": 5, "cap": 10**7}
    price = read_written_price("test", terms)
    assert unpack_price(pack_price(price)) == price
    assert compute_charge(unpack_price(pack_price(price)), units) == compute_charge(price, units)


def test_the_file_names_metrics_and_its_examples_work(tmp_path: Path) -> None:
    assert load_overage_file() == ()
    shipped = Path(load_overage_file.__code__.co_filename).parents[1] / "overage.yml"
    examples = [line.removeprefix("#   ") for line in shipped.read_text().splitlines() if line.startswith("#   ")]
    written = tmp_path / "overage.yml"
    written.write_text("\n".join(examples))
    assert [one.metric_type for one in load_overage_file(written)] == ["api_calls", "tokens", "storage_gb"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("- 1", "names to prices"),
        ("a: {currency: usd, unit_amount: 1}", "metric: api_calls"),
        ("a: {metric: api_calls, currency: usd}", "unit_amount"),
        ("a: [", "YAML"),
        ("a: {metric: api_calls, currency: usd, tiers: 5}", "tiers"),
        ("a: {metric: api_calls, currency: usd, unit_amount: 1, package: 5}", "package"),
        ("a: {metric: api_calls, currency: usd, unit_amount: 1, package: {size: 5, round: uo}}", "round: up"),
        ("a: {metric: api_calls, currency: usd, tiers: [{upto: 5}]}", r"tiers\.upto"),
    ],
)
def test_a_file_that_says_nothing_sensible_is_refused_by_name(content: str, names: str, tmp_path: Path) -> None:
    written = tmp_path / "overage.yml"
    written.write_text(content)
    with pytest.raises(InvalidOveragePriceError, match=names):
        load_overage_file(written)
    with pytest.raises(InvalidOveragePriceError, match="cannot be read"):
        load_overage_file(tmp_path / "missing.yml")
