"""Mirror tables: Stripe's objects as stored rows, one table per type, ordinary columns promoted from the snapshot."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# table: (promoted columns, indexes on promoted columns)
TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "customers": ("email text, name text, currency text, user_id text, delinquent boolean", ("email", "user_id")),
    "products": ("name text, active boolean", ()),
    "prices": (
        "product_id text, currency text, unit_amount_minor bigint, recurring_interval text, active boolean, "
        "lookup_key text, meter_id text",
        ("product_id", "lookup_key"),
    ),
    "plans": ("product_id text, currency text, amount_minor bigint, active boolean", ()),
    "coupons": ("name text, valid boolean", ()),
    "promotion_codes": ("code text, coupon_id text, active boolean", ()),
    "tax_rates": ("display_name text, active boolean", ()),
    "tax_ids": ("customer_id text, type text, value text", ("customer_id",)),
    "payment_methods": ("customer_id text, type text, card_brand text, card_last4 text", ("customer_id",)),
    "setup_intents": ("customer_id text, status text, payment_method_id text", ("customer_id",)),
    "payment_intents": (
        "customer_id text, status text, amount_minor bigint, amount_received_minor bigint, currency text, "
        "payment_method_id text, latest_charge_id text",
        ("customer_id, status",),
    ),
    "charges": (
        "customer_id text, status text, amount_minor bigint, amount_refunded_minor bigint, currency text, "
        "payment_intent_id text, paid boolean, refunded boolean, disputed boolean, failure_code text, "
        "charged_at timestamptz",
        ("customer_id, charged_at", "payment_intent_id"),
    ),
    "refunds": (
        "charge_id text, payment_intent_id text, status text, amount_minor bigint, currency text",
        ("charge_id",),
    ),
    "disputes": ("charge_id text, status text, amount_minor bigint, currency text, dispute_reason text", ("charge_id",)),
    "balance_transactions": (
        "type text, source_id text, amount_minor bigint, fee_minor bigint, net_minor bigint, currency text",
        ("source_id",),
    ),
    "subscriptions": (
        "customer_id text, status text, cancel_at_period_end boolean, current_period_start timestamptz, "
        "current_period_end timestamptz, billing_cycle_anchor timestamptz, trial_end timestamptz, "
        "canceled_at timestamptz, ended_at timestamptz, price_id text, quantity bigint, latest_invoice_id text",
        ("customer_id, status", "status, current_period_end"),
    ),
    "subscription_schedules": ("customer_id text, subscription_id text, status text", ("subscription_id",)),
    "invoices": (
        "customer_id text, subscription_id text, status text, number text, currency text, total_minor bigint, "
        "amount_due_minor bigint, amount_paid_minor bigint, amount_remaining_minor bigint, attempt_count integer, "
        "billing_reason text, collection_method text, auto_advance boolean, next_payment_attempt timestamptz, "
        "invoiced_at timestamptz",
        ("customer_id, status", "subscription_id", "status, invoiced_at"),
    ),
    "invoice_items": (
        "customer_id text, invoice_id text, subscription_id text, amount_minor bigint, currency text",
        ("customer_id", "invoice_id"),
    ),
    "invoice_payments": (
        "invoice_id text, payment_intent_id text, charge_id text, status text, amount_paid_minor bigint, currency text",
        ("invoice_id", "payment_intent_id"),
    ),
    "credit_notes": ("customer_id text, invoice_id text, status text, amount_minor bigint, currency text", ("invoice_id",)),
    "checkout_sessions": (
        "customer_id text, subscription_id text, payment_intent_id text, status text, payment_status text",
        ("customer_id",),
    ),
    "meters": ("event_name text, display_name text, status text", ("event_name",)),
    "entitlement_summaries": ("customer_id text", ()),
    "reviews": ("charge_id text, payment_intent_id text, open boolean, review_reason text", ("charge_id",)),
    "early_fraud_warnings": ("charge_id text, actionable boolean, fraud_type text", ("charge_id",)),
    "payouts": ("status text, amount_minor bigint, currency text", ()),
    "mandates": ("payment_method_id text, status text, type text", ()),
    "sources": ("customer_id text, status text, type text", ("customer_id",)),
    "quotes": ("customer_id text, status text, amount_total_minor bigint", ("customer_id",)),
    "payment_links": ("active boolean", ()),
    "credit_grants": ("customer_id text, name text", ("customer_id",)),
    "features": ("lookup_key text, active boolean", ()),
    "cash_balances": ("customer_id text", ()),
    "test_clocks": ("status text, frozen_time timestamptz", ()),
    "webhook_endpoints": ("url text, status text, api_version text", ()),
}


def upgrade() -> None:
    for table, (columns, indexes) in TABLES.items():
        op.execute(
            f"""
            CREATE TABLE billing.billing_{table} (
                account_id       text NOT NULL DEFAULT '',
                id               text NOT NULL,
                data             jsonb NOT NULL,
                version          timestamptz NOT NULL,
                version_row_id   bigint NOT NULL,
                version_event_id text NOT NULL,
                order_unproven   boolean NOT NULL DEFAULT false,
                deleted_at       timestamptz,
                synced_at        timestamptz NOT NULL,
                {columns},
                PRIMARY KEY (account_id, id)
            ) WITH (fillfactor = 85)
            """
        )
        for number, index in enumerate(indexes, start=1):
            op.execute(f"CREATE INDEX ix_billing_{table}_{number} ON billing.billing_{table} ({index})")


def downgrade() -> None:
    op.execute("DROP TABLE " + ", ".join(f"billing.billing_{table}" for table in TABLES))
