from __future__ import annotations

from dataclasses import replace

import pytest

from billing_worker.domains.catalog.rules import PriceTerms, build_price, is_overage_price
from billing_worker.kernel.errors import InvalidValueError

MONTHLY = PriceTerms("999", "USD", "month")


def test_a_price_is_built_as_stripe_takes_it() -> None:
    assert build_price(MONTHLY) == {
        "currency": "usd",
        "unit_amount": 999,
        "recurring": {"interval": "month", "interval_count": 1},
    }
    assert build_price(replace(MONTHLY, trial_days=14))["recurring"]["trial_period_days"] == 14
    metered = build_price(replace(MONTHLY, meter="mtr_1"))["recurring"]
    assert (metered["usage_type"], metered["meter"]) == ("metered", "mtr_1")
    assert "recurring" not in build_price(PriceTerms("5", "jpy"))


@pytest.mark.parametrize(("text", "sent"), [("0.5", "0.5"), ("0.000000000001", "0.000000000001"), ("1e1", None)])
def test_parts_of_a_minor_unit_are_sent_as_decimals(text: str, sent: str | None) -> None:
    assert build_price(PriceTerms(text, "usd")).get("unit_amount_decimal") == sent


@pytest.mark.parametrize("text", ["9,99", "-1", "NaN", "Infinity", "ten", "", "0.0000000000001"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match=r"9\.99 USD"):
        build_price(PriceTerms(text, "usd"))


@pytest.mark.parametrize("terms", [PriceTerms("1", "usd", trial_days=3), PriceTerms("1", "usd", meter="mtr_1")])
def test_what_only_recurring_prices_have_is_refused_without_an_interval(terms: PriceTerms) -> None:
    with pytest.raises(InvalidValueError, match="--interval month"):
        build_price(terms)
    with pytest.raises(InvalidValueError, match="for example usd"):
        build_price(replace(terms, currency="dollar"))


def test_an_overage_price_is_marked_or_metered() -> None:
    overage = build_price(PriceTerms("0.5", "usd", metric="api_calls", metadata={"team": "a"}))
    assert overage["metadata"] == {"team": "a", "nself_type": "overage", "nself_metric": "api_calls"}
    assert is_overage_price(overage)
    assert is_overage_price({"recurring": {"usage_type": "metered"}})
    assert not is_overage_price(build_price(MONTHLY))
