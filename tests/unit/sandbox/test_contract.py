"""The sandbox takes nothing that Stripe would not take."""

from __future__ import annotations

import pytest
import stripe

from billing_worker.sandbox.api import TABLES
from billing_worker.sandbox.core.documents import API_VERSION
from billing_worker.sandbox.core.routes import Route, Router
from billing_worker.stripe_gateway.schema import operation

ROUTES = [entry for table in TABLES for entry in table]


@pytest.mark.parametrize("entry", ROUTES, ids=lambda entry: f"{entry.method} {entry.path}")
def test_every_operation_and_parameter_exists_at_stripe(entry: Route) -> None:
    known = operation(entry.method, entry.path)
    assert known is not None
    assert entry.takes - known.fields.keys() == set()


def test_no_operation_is_listed_twice() -> None:
    keys = [(entry.method, entry.path) for entry in ROUTES]
    assert len(keys) == len(set(keys)) == len(Router(TABLES).routes())


def test_events_carry_the_version_that_the_sdk_pins() -> None:
    assert stripe.api_version == API_VERSION


@pytest.mark.parametrize(
    ("method", "path", "template", "ids"),
    [
        ("POST", "/v1/invoices/create_preview", "/v1/invoices/create_preview", ()),
        ("POST", "/v1/invoices/in_1", "/v1/invoices/{invoice}", ("in_1",)),
        ("POST", "/v1/invoices/in_1/pay", "/v1/invoices/{invoice}/pay", ("in_1",)),
        (
            "GET",
            "/v1/customers/cus_1/payment_methods/pm_1",
            "/v1/customers/{customer}/payment_methods/{payment_method}",
            ("cus_1", "pm_1"),
        ),
    ],
)
def test_literal_paths_win_over_ids(method: str, path: str, template: str, ids: tuple[str, ...]) -> None:
    found = Router(TABLES).find(method, path)
    assert found is not None
    assert (found[0].path, found[1]) == (template, ids)


@pytest.mark.parametrize("path", ["/v1", "/v1/customers/", "/v1/nothing", "/v1/customers/a/b/c/d", "/"])
def test_other_paths_are_nobodys(path: str) -> None:
    assert Router(TABLES).find("GET", path) is None
