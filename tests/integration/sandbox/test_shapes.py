"""Every object has the keys that the SDK's own types require of it, at every depth."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any

import pytest
import stripe

from tests.integration.sandbox.process import Sandbox
from tests.integration.sandbox.test_events import year_of_a_shop

LISTED: dict[str, tuple[type, str]] = {
    "customer": (stripe.Customer, "customers"),
    "product": (stripe.Product, "products"),
    "price": (stripe.Price, "prices"),
    "payment_method": (stripe.PaymentMethod, "payment_methods"),
    "setup_intent": (stripe.SetupIntent, "setup_intents"),
    "payment_intent": (stripe.PaymentIntent, "payment_intents"),
    "charge": (stripe.Charge, "charges"),
    "refund": (stripe.Refund, "refunds"),
    "balance_transaction": (stripe.BalanceTransaction, "balance_transactions"),
    "dispute": (stripe.Dispute, "disputes"),
    "coupon": (stripe.Coupon, "coupons"),
    "subscription": (stripe.Subscription, "subscriptions"),
    "invoice": (stripe.Invoice, "invoices"),
    "invoiceitem": (stripe.InvoiceItem, "invoiceitems"),
    "invoice_payment": (stripe.InvoicePayment, "invoice_payments"),
    "billing.meter": (stripe.billing.Meter, "billing/meters"),
    "event": (stripe.Event, "events"),
    "webhook_endpoint": (stripe.WebhookEndpoint, "webhook_endpoints"),
}


@pytest.fixture(scope="module")
def busy(sandbox: Sandbox) -> Sandbox:
    year_of_a_shop(sandbox)
    customer = sandbox.v1.customers.create({"address": {"city": "Bern"}})
    sandbox.v1.setup_intents.create({"customer": customer.id, "payment_method": "pm_card_visa", "confirm": True})
    sandbox.v1.invoice_items.create({"customer": customer.id, "amount": 5, "currency": "usd"})
    sandbox.v1.billing.meters.create(
        {"display_name": "M", "event_name": "m", "default_aggregation": {"formula": "count"}}
    )
    sandbox.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["source.canceled"]})
    return sandbox


def parts(annotation: Any) -> tuple[list[Any], bool]:
    """The alternatives of a type, and whether it may be absent."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        alternatives = typing.get_args(annotation)
        return [one for one in alternatives if one is not type(None)], type(None) in alternatives
    return [annotation], False


def missing(value: Any, annotation: Any, path: str) -> list[str]:
    """Paths of required keys that a value lacks."""
    alternatives, _ = parts(annotation)
    if len(alternatives) != 1:
        return []
    kind = alternatives[0]
    if typing.get_origin(kind) is list and isinstance(value, list):
        return [gap for one in value for gap in missing(one, typing.get_args(kind)[0], f"{path}[]")]
    if not (inspect.isclass(kind) and issubclass(kind, stripe.StripeObject) and isinstance(value, dict)):
        return []
    gaps = []
    for name, inner in inspect.get_annotations(kind).items():
        if name.startswith("_") or name.isupper() or name == "deleted":
            continue
        is_optional = parts(inner)[1]
        if name not in value and not is_optional:
            gaps.append(f"{path}.{name}")
        elif value.get(name) is None and not is_optional:
            gaps.append(f"{path}.{name} is null")
        else:
            gaps += missing(value.get(name), inner, f"{path}.{name}")
    return gaps


@pytest.mark.parametrize("kind", LISTED)
def test_no_required_key_is_missing(busy: Sandbox, kind: str) -> None:
    sdk_class, path = LISTED[kind]
    query = "?limit=100&status=all" if kind == "subscription" else "?limit=100"
    documents = busy.raw("GET", f"/v1/{path}{query}").json()["data"]
    assert documents
    assert {document["object"] for document in documents} == {kind}
    assert sorted({gap for document in documents for gap in missing(document, sdk_class, kind)}) == []


def test_lines_and_items_are_whole_too(busy: Sandbox) -> None:
    invoices = busy.raw("GET", "/v1/invoices?limit=100").json()["data"]
    lines = [line for invoice in invoices for line in invoice["lines"]["data"]]
    assert sorted({gap for line in lines for gap in missing(line, stripe.InvoiceLineItem, "line")}) == []
    subscriptions = busy.raw("GET", "/v1/subscriptions?limit=100&status=all").json()["data"]
    items = [item for subscription in subscriptions for item in subscription["items"]["data"]]
    assert sorted({gap for item in items for gap in missing(item, stripe.SubscriptionItem, "item")}) == []
    account = busy.raw("GET", "/v1/account").json()
    assert missing(account, stripe.Account, "account") == []
