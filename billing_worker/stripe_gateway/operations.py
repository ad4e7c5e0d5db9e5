"""What we call at Stripe: changing operations with the way to find out later whether they happened, and read paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from billing_worker.kernel.errors import InvalidValueError


@dataclass(frozen=True, slots=True)
class Operation:
    """One changing call of the API.

    Shape: `path` has placeholders filled by path ids; `answers` is the type of the returned object.
    `takes_metadata` allows the mark `metadata.nself_intent`, by which a created object is found again in `list_path`
    (narrowed by those `list_filters` that the parameters have, and by the fixed `list_params`).
    `done_when` are the statuses of the object in the path that prove that the call happened.
    `is_repeatable` says that a second call with the same parameters does no harm and moves no money.
    `moves_money` says that safe mode holds the call back.
    """

    name: str
    method: str
    path: str
    answers: str
    takes_metadata: bool = False
    list_path: str = ""
    list_filters: tuple[str, ...] = ()
    list_params: tuple[tuple[str, str], ...] = ()
    done_when: frozenset[str] = frozenset()
    is_repeatable: bool = False
    moves_money: bool = False
    base: str = "api"


_CHARGING_NOUNS = frozenset({"subscriptions", "payment_intents", "refunds", "credit_notes"})
_CHARGING_VERBS = frozenset({"pay", "confirm", "finalize"})


def _create(noun: str, answers: str, *filters: str, status: str = "") -> Operation:
    return Operation(
        f"{noun}.create",
        "post",
        f"/v1/{noun}",
        answers,
        takes_metadata=True,
        list_path=noun,
        list_filters=filters,
        list_params=(("status", status),) if status else (),
        moves_money=noun in _CHARGING_NOUNS,
    )


def _update(noun: str, answers: str) -> Operation:
    path = f"/v1/{noun}/{{id}}"
    return Operation(f"{noun}.update", "post", path, answers, is_repeatable=True, moves_money=noun in _CHARGING_NOUNS)


def _act(noun: str, verb: str, answers: str, *done_when: str) -> Operation:
    path = f"/v1/{noun}/{{id}}/{verb}"
    return Operation(
        f"{noun}.{verb}", "post", path, answers, done_when=frozenset(done_when), moves_money=verb in _CHARGING_VERBS
    )


def _method(verb: str) -> Operation:
    path = "/v1/payment_methods" if verb == "create" else f"/v1/payment_methods/{{id}}/{verb}"
    # A second, unattached payment method is an orphan at most; attaching and detaching twice changes nothing.
    return Operation(f"payment_methods.{verb}", "post", path, "payment_method", is_repeatable=True)


_ALL = (
    _create("customers", "customer"),
    _update("customers", "customer"),
    Operation("customers.delete", "delete", "/v1/customers/{id}", "customer", is_repeatable=True),
    # Nothing marks a tax id as ours, and a second one would be shown on invoices.
    Operation("customers.tax_ids.create", "post", "/v1/customers/{id}/tax_ids", "tax_id"),
    _create("products", "product"),
    _update("products", "product"),
    _create("prices", "price", "product"),
    _update("prices", "price"),
    _create("coupons", "coupon"),
    _create("promotion_codes", "promotion_code"),
    _create("setup_intents", "setup_intent", "customer"),
    _method("create"),
    _method("attach"),
    _method("detach"),
    _create("subscriptions", "subscription", "customer", status="all"),
    _update("subscriptions", "subscription"),
    # Not an update: it takes no money, so that it is possible in safe mode.
    Operation("subscriptions.end_with_period", "post", "/v1/subscriptions/{id}", "subscription", is_repeatable=True),
    Operation(
        "subscriptions.cancel",
        "delete",
        "/v1/subscriptions/{id}",
        "subscription",
        done_when=frozenset({"canceled", "incomplete_expired"}),
    ),
    _create("invoices", "invoice", "customer"),
    _update("invoices", "invoice"),
    _act("invoices", "finalize", "invoice", "open", "paid", "uncollectible", "void"),
    _act("invoices", "pay", "invoice", "paid"),
    _act("invoices", "void", "invoice", "void"),
    _act("invoices", "mark_uncollectible", "invoice", "uncollectible"),
    _act("invoices", "send", "invoice"),
    _create("invoiceitems", "invoiceitem", "customer"),
    Operation("invoiceitems.delete", "delete", "/v1/invoiceitems/{id}", "invoiceitem", is_repeatable=True),
    _create("credit_notes", "credit_note", "invoice"),
    _create("payment_intents", "payment_intent", "customer"),
    _act("payment_intents", "confirm", "payment_intent", "succeeded", "processing", "requires_capture"),
    _act("payment_intents", "cancel", "payment_intent", "canceled"),
    _create("refunds", "refund", "charge", "payment_intent"),
    Operation("webhook_endpoints.create", "post", "/v1/webhook_endpoints", "webhook_endpoint", takes_metadata=True),
    _update("webhook_endpoints", "webhook_endpoint"),
    Operation(
        "webhook_endpoints.delete", "delete", "/v1/webhook_endpoints/{id}", "webhook_endpoint", is_repeatable=True
    ),
    Operation("billing.meters.create", "post", "/v1/billing/meters", "billing.meter"),
    Operation("billing.meter_events.create", "post", "/v1/billing/meter_events", "billing.meter_event"),
    Operation(
        "billing.meter_event_adjustments.create",
        "post",
        "/v1/billing/meter_event_adjustments",
        "billing.meter_event_adjustment",
    ),
)

OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _ALL}
"""Every changing operation by name; the names are stored in intents and are therefore only ever added."""

READ_PATHS: Mapping[str, str] = {
    "account": "/v1/accounts/{id}",
    "balance_transaction": "/v1/balance_transactions/{id}",
    "billing.credit_grant": "/v1/billing/credit_grants/{id}",
    "billing.meter": "/v1/billing/meters/{id}",
    "cash_balance": "/v1/customers/{id}/cash_balance",
    "charge": "/v1/charges/{id}",
    "checkout.session": "/v1/checkout/sessions/{id}",
    "coupon": "/v1/coupons/{id}",
    "credit_note": "/v1/credit_notes/{id}",
    "customer": "/v1/customers/{id}",
    "dispute": "/v1/disputes/{id}",
    "entitlements.feature": "/v1/entitlements/features/{id}",
    "event": "/v1/events/{id}",
    "invoice": "/v1/invoices/{id}",
    "invoice_payment": "/v1/invoice_payments/{id}",
    "invoiceitem": "/v1/invoiceitems/{id}",
    "mandate": "/v1/mandates/{id}",
    "payment_intent": "/v1/payment_intents/{id}",
    "payment_link": "/v1/payment_links/{id}",
    "payment_method": "/v1/payment_methods/{id}",
    "payout": "/v1/payouts/{id}",
    "plan": "/v1/plans/{id}",
    "price": "/v1/prices/{id}",
    "product": "/v1/products/{id}",
    "promotion_code": "/v1/promotion_codes/{id}",
    "quote": "/v1/quotes/{id}",
    "radar.early_fraud_warning": "/v1/radar/early_fraud_warnings/{id}",
    "refund": "/v1/refunds/{id}",
    "review": "/v1/reviews/{id}",
    "setup_intent": "/v1/setup_intents/{id}",
    "source": "/v1/sources/{id}",
    "subscription": "/v1/subscriptions/{id}",
    "subscription_schedule": "/v1/subscription_schedules/{id}",
    "tax_id": "/v1/tax_ids/{id}",
    "tax_rate": "/v1/tax_rates/{id}",
    "test_helpers.test_clock": "/v1/test_helpers/test_clocks/{id}",
    "v2.core.event": "/v2/core/events/{id}",
    "webhook_endpoint": "/v1/webhook_endpoints/{id}",
}
"""Where one object of a type is read; types are Stripe's own `object` values."""


def operation_named(name: str) -> Operation:
    """Find an operation.

    Raises: InvalidValueError for a name that this release does not know.
    """
    try:
        return OPERATIONS[name]
    except KeyError:
        raise InvalidValueError(f"no Stripe operation is called {name}; one of {', '.join(OPERATIONS)}") from None


def read_path(object_type: str, object_id: str) -> str:
    """Build the path of one object.

    Raises: InvalidValueError for a type that has no path of its own.
    """
    try:
        return READ_PATHS[object_type].format(id=object_id)
    except KeyError:
        raise InvalidValueError(f"objects of type {object_type} cannot be read one by one at Stripe") from None
