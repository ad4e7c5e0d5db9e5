"""Parameters are taken, typed and refused as the SDK's own tables say."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from billing_worker.stripe_gateway.schema import ParameterError, attributes_of, operation, operations


def decode(method: str, path: str, raw: dict[str, Any]) -> dict[str, Any]:
    known = operation(method, path)
    assert known is not None
    return known.decode(raw)


def test_every_operation_of_the_sdk_can_be_read() -> None:
    found = operations()
    assert len(found) > 600
    assert all(operation(method, path) is not None for method, path in found)


def test_an_unknown_operation_is_none() -> None:
    assert operation("POST", "/v1/nothing") is None


def test_values_get_their_types() -> None:
    raw = {
        "customer": "cus_1",
        "cancel_at_period_end": "true",
        "trial_period_days": "14",
        "items": {"0": {"price": "price_1", "quantity": "2"}, "1": {"price": "price_2"}},
        "metadata": {"a": "1"},
        "trial_end": "now",
        "description": "",
        "expand": {"0": "customer"},
    }
    assert decode("POST", "/v1/subscriptions", raw) == {
        "customer": "cus_1",
        "cancel_at_period_end": True,
        "trial_period_days": 14,
        "items": [{"price": "price_1", "quantity": 2}, {"price": "price_2"}],
        "metadata": {"a": "1"},
        "trial_end": "now",
        "description": "",
        "expand": ["customer"],
    }


def test_either_a_number_or_a_hash() -> None:
    assert decode("GET", "/v1/events", {"created": "5"}) == {"created": 5}
    assert decode("GET", "/v1/events", {"created": {"gte": "5"}}) == {"created": {"gte": 5}}


def test_lists_are_ordered_by_their_numbers() -> None:
    types = {str(number): f"type.{number}" for number in range(10, -1, -1)}
    assert decode("GET", "/v1/events", {"types": types}) == {"types": [f"type.{number}" for number in range(11)]}


def test_a_list_with_a_gap_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"You passed the keys `0`, `2`, we expected .* the value `1`") as refused:
        decode("GET", "/v1/events", {"types": {"2": "b", "0": "a"}})
    assert refused.value.param == "types"


def test_a_word_that_is_none_of_an_enumerations_is_refused() -> None:
    given = {"currency": "usd", "product": "prod_x", "unit_amount": "1", "recurring": {"interval": "fortnight"}}
    with pytest.raises(ParameterError, match="must be one of day, month, week, or year") as refused:
        decode("POST", "/v1/prices", given)
    assert refused.value.param == "recurring[interval]"


def test_a_client_without_a_version_may_use_words_of_older_ones() -> None:
    known = operation("POST", "/v1/checkout/sessions")
    assert known is not None
    assert known.decode({"mode": "payment", "ui_mode": "hosted"}, is_open=True)["ui_mode"] == "hosted"
    with pytest.raises(ParameterError, match="Invalid ui_mode: must be one of"):
        known.decode({"mode": "payment", "ui_mode": "hosted"})


def test_an_objects_references_are_known() -> None:
    invoice = attributes_of("invoice")
    assert {"customer", "default_payment_method", "latest_revision", "subscription"} <= invoice.expandable
    assert "description" in invoice.names - invoice.expandable
    assert attributes_of("nothing.of_the_kind").names == frozenset()


@pytest.mark.parametrize(
    ("raw", "message", "param", "code"),
    [
        ({"colour": "x"}, "Received unknown parameter: colour", "colour", "parameter_unknown"),
        ({"a": "x", "b": "y"}, "Received unknown parameters: a, b", "a", "parameter_unknown"),
        (
            {"items": {"0": {"colour": "x"}}},
            "Received unknown parameter: items[0][colour]",
            "items[0][colour]",
            "parameter_unknown",
        ),
        ({"trial_period_days": "x"}, "Invalid integer: x", "trial_period_days", "parameter_invalid_integer"),
        ({"trial_period_days": "1.5"}, "Invalid integer: 1.5", "trial_period_days", "parameter_invalid_integer"),
        ({"cancel_at_period_end": "yes"}, "Invalid boolean: yes", "cancel_at_period_end", None),
        ({"items": "x"}, "Invalid array", "items", None),
        ({"customer": {"id": "x"}}, "Invalid string", "customer", None),
        ({"trial_settings": "x"}, "Invalid object", "trial_settings", None),
    ],
)
def test_what_does_not_fit_is_refused(raw: dict[str, Any], message: str, param: str, code: str | None) -> None:
    with pytest.raises(ParameterError) as refused:
        decode("POST", "/v1/subscriptions", raw)
    assert (str(refused.value), refused.value.param, refused.value.code) == (message, param, code)


def test_required_parameters_are_required_at_every_depth() -> None:
    with pytest.raises(ParameterError, match="Missing required param: currency") as refused:
        decode("POST", "/v1/prices", {"unit_amount": "5"})
    assert refused.value.code == "parameter_missing"
    with pytest.raises(ParameterError) as nested:
        decode("POST", "/v1/prices", {"currency": "usd", "recurring": {"interval_count": "1"}})
    assert nested.value.param == "recurring[interval]"
    with pytest.raises(ParameterError) as empty:
        decode("POST", "/v1/prices", {"currency": ""})
    assert empty.value.code == "parameter_invalid_empty"


def test_reading_the_tables_does_not_load_the_sdk() -> None:
    code = (
        "import sys; from billing_worker.stripe_gateway.schema import operation; "
        "operation('POST', '/v1/customers'); sys.exit('stripe' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
