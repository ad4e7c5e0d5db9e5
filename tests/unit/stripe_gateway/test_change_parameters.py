"""Every body that a service builds is one that Stripe's own types accept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from billing_worker.changes.change import Change
from billing_worker.cli.billing.customer._fields import ADDRESS, read_fields
from billing_worker.domains.catalog.rules import PriceTerms, build_price
from billing_worker.stripe_gateway import schema
from billing_worker.stripe_gateway.operations import operation_named

EVERY_FIELD = {
    **dict.fromkeys(("name", "phone", "description"), "text"),
    **{f"address_{part}": "US" for part in ADDRESS},
    "email": "a@example.com",
    "tax_exempt": "none",
    "metadata": ("team=a",),
}
PRICE = PriceTerms("999", "usd", "month", trial_days=14, nickname="n", lookup_key="k", metric="api_calls")

CHANGES: Sequence[Change] = (
    Change("customers.create", read_fields(EVERY_FIELD)),
    Change("customers.update", {"invoice_settings": {"default_payment_method": "pm_1"}}, object_id="cus_1"),
    Change("customers.tax_ids.create", {"type": "us_ein", "value": "12-3456789"}, object_id="cus_1"),
    Change("products.create", {"name": "Gold", "description": "d", "metadata": {"a": "b"}}),
    Change("prices.create", {"product": "prod_1", **build_price(PRICE)}),
    Change("prices.create", {"product": "prod_1", **build_price(PriceTerms("0.5", "usd", "month", meter="mtr_1"))}),
    Change("payment_methods.attach", {"customer": "cus_1"}, object_id="pm_1"),
)


def wire(value: Any) -> Any:
    """Write values as the wire has them: text, and lists as numbered keys."""
    if isinstance(value, Mapping):
        return {name: wire(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return {str(number): wire(inner) for number, inner in enumerate(value)}
    return str(value).lower() if isinstance(value, bool) else str(value)


def names() -> Iterator[str]:
    return (f"{number}-{change.operation}" for number, change in enumerate(CHANGES))


@pytest.mark.parametrize("change", CHANGES, ids=names())
def test_what_is_sent_is_known_to_the_sdk(change: Change) -> None:
    operation = operation_named(change.operation)
    known = schema.operation(operation.method, operation.path)
    assert known is not None
    assert known.decode(wire(change.parameters))
