"""The table of Stripe object types: where each is stored and what of it is promoted to columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from billing_worker.mirror import progress
from billing_worker.mirror.extract import Extractor, ShapeError, first_of, flag, instant, integer, reference, text


@dataclass(frozen=True)
class ObjectType:
    """One mirrored type.

    Shape: `columns` maps promoted column names to extractors (migration 0003 declares the same names); `path` is the
    list endpoint, None where Stripe has none that stands alone; `deleting` names the event types that end the object;
    `has_id` is false where a customer has exactly one.
    """

    name: str
    table: str
    columns: Mapping[str, Extractor]
    path: str | None = None
    required: tuple[str, ...] = ()
    progress: progress.Progress = progress.EVER_EQUAL
    deleting: frozenset[str] = field(default_factory=frozenset)
    has_id: bool = True

    def promote(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Compute the promoted columns of a snapshot.

        Raises: ShapeError when a required field is missing or a value has the wrong type.
        """
        for name in ("id", *self.required) if self.has_id else self.required:
            if data.get(name) is None:
                raise ShapeError("missing_field", f"{self.name}.{name} is required and absent")
        return {column: extractor(data) for column, extractor in self.columns.items()}


_CUSTOMER = {"customer_id": reference("customer")}
_STATUS = {"status": text("status")}
_CURRENCY = {"currency": text("currency")}
_AMOUNT = {"amount_minor": integer("amount"), **_CURRENCY}
_ACTIVE = {"active": flag("active")}
_FIRST_ITEM: tuple[str | int, ...] = ("items", "data", 0)

_TYPES = (
    ObjectType(
        "customer",
        "customers",
        {
            "email": text("email"),
            "name": text("name"),
            **_CURRENCY,
            "user_id": text("metadata", "user_id"),
            "delinquent": flag("delinquent"),
        },
        path="/v1/customers",
        deleting=frozenset({"customer.deleted"}),
    ),
    ObjectType(
        "product",
        "products",
        {"name": text("name"), **_ACTIVE},
        path="/v1/products",
        deleting=frozenset({"product.deleted"}),
    ),
    ObjectType(
        "price",
        "prices",
        {
            "product_id": reference("product"),
            **_CURRENCY,
            "unit_amount_minor": integer("unit_amount"),
            "recurring_interval": text("recurring", "interval"),
            **_ACTIVE,
            "lookup_key": text("lookup_key"),
            "meter_id": text("recurring", "meter"),
        },
        path="/v1/prices",
        deleting=frozenset({"price.deleted"}),
    ),
    ObjectType(
        "plan",
        "plans",
        {"product_id": reference("product"), **_AMOUNT, **_ACTIVE},
        deleting=frozenset({"plan.deleted"}),
    ),
    ObjectType(
        "coupon",
        "coupons",
        {"name": text("name"), "valid": flag("valid")},
        path="/v1/coupons",
        deleting=frozenset({"coupon.deleted"}),
    ),
    ObjectType(
        "promotion_code",
        "promotion_codes",
        {
            "code": text("code"),
            "coupon_id": first_of(reference("promotion", "coupon"), reference("coupon")),
            **_ACTIVE,
        },
    ),
    ObjectType("tax_rate", "tax_rates", {"display_name": text("display_name"), **_ACTIVE}),
    ObjectType(
        "tax_id",
        "tax_ids",
        {**_CUSTOMER, "type": text("type"), "value": text("value")},
        deleting=frozenset({"customer.tax_id.deleted"}),
    ),
    ObjectType(
        "payment_method",
        "payment_methods",
        {
            **_CUSTOMER,
            "type": text("type"),
            "card_brand": text("card", "brand"),
            "card_last4": text("card", "last4"),
        },
        required=("type",),
    ),
    ObjectType(
        "setup_intent",
        "setup_intents",
        {**_CUSTOMER, **_STATUS, "payment_method_id": reference("payment_method")},
        path="/v1/setup_intents",
        required=("status",),
        progress=progress.SETUP_INTENT,
    ),
    ObjectType(
        "payment_intent",
        "payment_intents",
        {
            **_CUSTOMER,
            **_STATUS,
            **_AMOUNT,
            "amount_received_minor": integer("amount_received"),
            "payment_method_id": reference("payment_method"),
            "latest_charge_id": first_of(reference("latest_charge"), reference("charges", "data", 0)),
        },
        path="/v1/payment_intents",
        required=("status", "amount"),
        progress=progress.PAYMENT_INTENT,
    ),
    ObjectType(
        "charge",
        "charges",
        {
            **_CUSTOMER,
            **_STATUS,
            **_AMOUNT,
            "amount_refunded_minor": integer("amount_refunded"),
            "payment_intent_id": reference("payment_intent"),
            "paid": flag("paid"),
            "refunded": flag("refunded"),
            "disputed": flag("disputed"),
            "failure_code": text("failure_code"),
            "charged_at": instant("created"),
        },
        path="/v1/charges",
        required=("status", "amount"),
        progress=progress.CHARGE,
    ),
    ObjectType(
        "refund",
        "refunds",
        {
            "charge_id": reference("charge"),
            "payment_intent_id": reference("payment_intent"),
            **_STATUS,
            **_AMOUNT,
        },
        path="/v1/refunds",
        required=("amount",),
        progress=progress.REFUND,
    ),
    ObjectType(
        "dispute",
        "disputes",
        {"charge_id": reference("charge"), **_STATUS, **_AMOUNT, "dispute_reason": text("reason")},
        path="/v1/disputes",
        required=("status", "amount"),
        progress=progress.DISPUTE,
    ),
    ObjectType(
        "balance_transaction",
        "balance_transactions",
        {
            "type": text("type"),
            "source_id": reference("source"),
            **_AMOUNT,
            "fee_minor": integer("fee"),
            "net_minor": integer("net"),
        },
        path="/v1/balance_transactions",
        required=("amount", "net"),
    ),
    ObjectType(
        "subscription",
        "subscriptions",
        {
            **_CUSTOMER,
            **_STATUS,
            "cancel_at_period_end": flag("cancel_at_period_end"),
            "current_period_start": instant(*_FIRST_ITEM, "current_period_start"),
            "current_period_end": instant(*_FIRST_ITEM, "current_period_end"),
            "billing_cycle_anchor": instant("billing_cycle_anchor"),
            "trial_end": instant("trial_end"),
            "canceled_at": instant("canceled_at"),
            "ended_at": instant("ended_at"),
            "price_id": first_of(reference(*_FIRST_ITEM, "price"), reference(*_FIRST_ITEM, "plan")),
            "quantity": integer(*_FIRST_ITEM, "quantity"),
            "latest_invoice_id": reference("latest_invoice"),
        },
        path="/v1/subscriptions",
        required=("status", "customer"),
        progress=progress.SUBSCRIPTION,
    ),
    ObjectType(
        "subscription_schedule",
        "subscription_schedules",
        {
            **_CUSTOMER,
            "subscription_id": first_of(reference("subscription"), reference("released_subscription")),
            **_STATUS,
        },
        path="/v1/subscription_schedules",
        required=("status",),
        progress=progress.SUBSCRIPTION_SCHEDULE,
    ),
    ObjectType(
        "invoice",
        "invoices",
        {
            **_CUSTOMER,
            "subscription_id": reference("parent", "subscription_details", "subscription"),
            **_STATUS,
            "number": text("number"),
            **_CURRENCY,
            "total_minor": integer("total"),
            "amount_due_minor": integer("amount_due"),
            "amount_paid_minor": integer("amount_paid"),
            "amount_remaining_minor": integer("amount_remaining"),
            "attempt_count": integer("attempt_count"),
            "billing_reason": text("billing_reason"),
            "collection_method": text("collection_method"),
            "auto_advance": flag("auto_advance"),
            "next_payment_attempt": instant("next_payment_attempt"),
            "invoiced_at": instant("created"),
        },
        path="/v1/invoices",
        required=("status", "currency"),
        progress=progress.INVOICE,
        deleting=frozenset({"invoice.deleted"}),
    ),
    ObjectType(
        "invoiceitem",
        "invoice_items",
        {
            **_CUSTOMER,
            "invoice_id": reference("invoice"),
            "subscription_id": first_of(
                reference("parent", "subscription_details", "subscription"), reference("subscription")
            ),
            **_AMOUNT,
        },
        path="/v1/invoiceitems",
        deleting=frozenset({"invoiceitem.deleted"}),
    ),
    ObjectType(
        "invoice_payment",
        "invoice_payments",
        {
            "invoice_id": reference("invoice"),
            "payment_intent_id": reference("payment", "payment_intent"),
            "charge_id": reference("payment", "charge"),
            **_STATUS,
            "amount_paid_minor": integer("amount_paid"),
            **_CURRENCY,
        },
        path="/v1/invoice_payments",
        required=("status", "invoice"),
        progress=progress.INVOICE_PAYMENT,
    ),
    ObjectType(
        "credit_note",
        "credit_notes",
        {**_CUSTOMER, "invoice_id": reference("invoice"), **_STATUS, **_AMOUNT},
        path="/v1/credit_notes",
        required=("status", "amount", "invoice"),
        progress=progress.CREDIT_NOTE,
    ),
    ObjectType(
        "checkout.session",
        "checkout_sessions",
        {
            **_CUSTOMER,
            "subscription_id": reference("subscription"),
            "payment_intent_id": reference("payment_intent"),
            **_STATUS,
            "payment_status": text("payment_status"),
        },
        path="/v1/checkout/sessions",
        progress=progress.CHECKOUT_SESSION,
    ),
    ObjectType(
        "billing.meter",
        "meters",
        {"event_name": text("event_name"), "display_name": text("display_name"), **_STATUS},
        path="/v1/billing/meters",
        required=("event_name",),
    ),
    ObjectType("entitlements.active_entitlement_summary", "entitlement_summaries", _CUSTOMER, has_id=False),
    ObjectType(
        "review",
        "reviews",
        {
            "charge_id": reference("charge"),
            "payment_intent_id": reference("payment_intent"),
            "open": flag("open"),
            "review_reason": text("reason"),
        },
        path="/v1/reviews",
    ),
    ObjectType(
        "radar.early_fraud_warning",
        "early_fraud_warnings",
        {"charge_id": reference("charge"), "actionable": flag("actionable"), "fraud_type": text("fraud_type")},
        path="/v1/radar/early_fraud_warnings",
    ),
    ObjectType(
        "payout",
        "payouts",
        {**_STATUS, **_AMOUNT},
        path="/v1/payouts",
        required=("status", "amount"),
        progress=progress.PAYOUT,
    ),
    ObjectType(
        "mandate",
        "mandates",
        {"payment_method_id": reference("payment_method"), **_STATUS, "type": text("type")},
    ),
    ObjectType("source", "sources", {**_CUSTOMER, **_STATUS, "type": text("type")}),
    ObjectType(
        "quote",
        "quotes",
        {**_CUSTOMER, **_STATUS, "amount_total_minor": integer("amount_total")},
        path="/v1/quotes",
        progress=progress.QUOTE,
    ),
    ObjectType("payment_link", "payment_links", _ACTIVE, path="/v1/payment_links"),
    ObjectType("billing.credit_grant", "credit_grants", {**_CUSTOMER, "name": text("name")}),
    ObjectType("entitlements.feature", "features", {"lookup_key": text("lookup_key"), **_ACTIVE}),
    ObjectType("cash_balance", "cash_balances", _CUSTOMER, has_id=False),
    ObjectType(
        "test_helpers.test_clock",
        "test_clocks",
        {**_STATUS, "frozen_time": instant("frozen_time")},
        deleting=frozenset({"test_helpers.test_clock.deleted"}),
    ),
    ObjectType(
        "webhook_endpoint",
        "webhook_endpoints",
        {"url": text("url"), **_STATUS, "api_version": text("api_version")},
        path="/v1/webhook_endpoints",
    ),
)

REGISTRY: Mapping[str, ObjectType] = {entry.name: entry for entry in _TYPES}
"""Every mirrored type by Stripe's `object` name."""
