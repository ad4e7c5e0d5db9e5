"""Usage (batches, partitioned rows, keys, rollups, adjustments) and quotas (limits, periods, leases)."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY_PARTITIONS = 8

ROLLUP = """
CREATE TABLE billing.billing_usage_{name} (
    user_id       text NOT NULL,
    metric_type   text NOT NULL,
    bucket_start  timestamptz NOT NULL,
    record_count  bigint NOT NULL DEFAULT 0 CHECK (record_count >= 0),
    sum_value     numeric(38, 0) NOT NULL DEFAULT 0,
    max_value     bigint,
    last_value    bigint,
    last_at       timestamptz,
    last_id       bigint,
    unique_count  bigint,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (user_id, metric_type, bucket_start)
) WITH (fillfactor = 80);
CREATE INDEX ix_billing_usage_{name}_bucket ON billing.billing_usage_{name} (bucket_start);
"""

UPGRADE = """
CREATE TABLE billing.billing_usage_batches (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source        text NOT NULL,
    record_count  integer NOT NULL CHECK (record_count > 0),
    first_at      timestamptz NOT NULL,
    last_at       timestamptz NOT NULL,
    accepted_at   timestamptz NOT NULL,
    aggregated_at timestamptz,
    CHECK (last_at >= first_at)
);
CREATE INDEX ix_billing_usage_batches_open ON billing.billing_usage_batches (id) WHERE aggregated_at IS NULL;
CREATE INDEX ix_billing_usage_batches_accepted ON billing.billing_usage_batches (accepted_at);

CREATE SEQUENCE billing.billing_usage_id_seq AS bigint CACHE 1;
CREATE TABLE billing.billing_usage (
    id               bigint NOT NULL DEFAULT nextval('billing.billing_usage_id_seq'),
    batch_id         bigint NOT NULL,
    user_id          text NOT NULL,
    metric_type      text NOT NULL,
    value            bigint NOT NULL,
    unique_key       text,
    created_at       timestamptz NOT NULL,
    recorded_at      timestamptz NOT NULL,
    idempotency_key  text,
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
ALTER SEQUENCE billing.billing_usage_id_seq OWNED BY billing.billing_usage.id;
CREATE TABLE billing.billing_usage_default PARTITION OF billing.billing_usage DEFAULT;
CREATE INDEX ix_billing_usage_user_metric_created ON billing.billing_usage (user_id, metric_type, created_at);
CREATE INDEX ix_billing_usage_batch ON billing.billing_usage (batch_id);

CREATE TABLE billing.billing_usage_keys (
    scope         text NOT NULL,
    digest        bytea NOT NULL,
    payload_hash  bytea NOT NULL,
    first_seen_at timestamptz NOT NULL,
    PRIMARY KEY (scope, digest)
) PARTITION BY HASH (digest);

CREATE TABLE billing.billing_usage_periods (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id       text NOT NULL,
    metric_type   text NOT NULL,
    period_start  timestamptz NOT NULL,
    period_end    timestamptz NOT NULL,
    total         numeric(38, 0) NOT NULL,
    record_count  bigint NOT NULL,
    records_sha256 bytea NOT NULL,
    frozen_at     timestamptz NOT NULL,
    CHECK (period_end > period_start),
    CONSTRAINT uq_billing_usage_periods UNIQUE (user_id, metric_type, period_start, period_end)
);

CREATE TABLE billing.billing_usage_adjustments (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id       text NOT NULL,
    metric_type   text NOT NULL,
    period_start  timestamptz NOT NULL,
    period_end    timestamptz NOT NULL,
    value         numeric(38, 0) NOT NULL,
    batch_id      bigint,
    reason        text NOT NULL,
    adjusted_at   timestamptz NOT NULL
);
CREATE INDEX ix_billing_usage_adjustments_user ON billing.billing_usage_adjustments (user_id, metric_type, period_start);

CREATE TABLE billing.billing_meter_events (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    text NOT NULL DEFAULT '',
    identifier    text NOT NULL,
    event_name    text NOT NULL,
    customer_id   text NOT NULL,
    value         numeric(38, 0) NOT NULL,
    occurred_at   timestamptz NOT NULL,
    intent_id     uuid REFERENCES billing.billing_intents (id) ON DELETE RESTRICT,
    status        text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'canceled', 'failed')),
    created_at    timestamptz NOT NULL,
    CONSTRAINT uq_billing_meter_events UNIQUE (account_id, identifier)
);

CREATE TABLE billing.billing_quotas (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id          text,
    price_id         text,
    metric_type      text NOT NULL,
    period           text NOT NULL CHECK (period IN ('day', 'week', 'month', 'billing')),
    limit_value      bigint NOT NULL CHECK (limit_value >= 0),
    enforcement      text NOT NULL DEFAULT 'hard' CHECK (enforcement IN ('hard', 'soft')),
    fail_mode        text NOT NULL DEFAULT 'closed' CHECK (fail_mode IN ('open', 'closed')),
    alert_at_percent smallint[] NOT NULL DEFAULT '{80,100}',
    rollover         boolean NOT NULL DEFAULT false,
    anchor_at        timestamptz,
    anchor_months    smallint NOT NULL DEFAULT 1 CHECK (anchor_months > 0),
    set_at           timestamptz NOT NULL,
    set_by           text NOT NULL,
    CHECK ((user_id IS NULL) <> (price_id IS NULL)),
    CHECK ((period = 'billing') = (anchor_at IS NOT NULL)),
    CONSTRAINT uq_billing_quotas UNIQUE NULLS NOT DISTINCT (user_id, price_id, metric_type)
);

CREATE TABLE billing.billing_quota_periods (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    quota_id      bigint NOT NULL REFERENCES billing.billing_quotas (id) ON DELETE RESTRICT,
    user_id       text NOT NULL,
    metric_type   text NOT NULL,
    period        text NOT NULL CHECK (period IN ('day', 'week', 'month', 'billing')),
    period_start  timestamptz NOT NULL,
    period_end    timestamptz NOT NULL,
    limit_value   bigint NOT NULL CHECK (limit_value >= 0),
    rolled_over   bigint NOT NULL DEFAULT 0 CHECK (rolled_over >= 0),
    used_value    bigint NOT NULL DEFAULT 0 CHECK (used_value >= 0),
    status        text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed')),
    blocked_at    timestamptz,
    opened_at     timestamptz NOT NULL,
    closed_at     timestamptz,
    closed_by     text,
    CHECK (period_end > period_start),
    CONSTRAINT uq_billing_quota_periods UNIQUE (quota_id, user_id, period_start)
);
CREATE UNIQUE INDEX uq_billing_quota_periods_open ON billing.billing_quota_periods (quota_id, user_id)
    WHERE status = 'open';
CREATE INDEX ix_billing_quota_periods_due ON billing.billing_quota_periods (period_end) WHERE status = 'open';
CREATE INDEX ix_billing_quota_periods_user ON billing.billing_quota_periods (user_id, metric_type, period_start);

CREATE TABLE billing.billing_quota_leases (
    id              uuid PRIMARY KEY,
    quota_period_id bigint NOT NULL REFERENCES billing.billing_quota_periods (id) ON DELETE RESTRICT,
    units           bigint NOT NULL CHECK (units > 0),
    spent           bigint CHECK (spent BETWEEN 0 AND units),
    granted_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    returned_at     timestamptz
);
CREATE INDEX ix_billing_quota_leases_open ON billing.billing_quota_leases (quota_period_id, expires_at)
    WHERE returned_at IS NULL;

CREATE TABLE billing.billing_overages (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id      text NOT NULL DEFAULT '',
    overage_key     text NOT NULL,
    quota_period_id bigint NOT NULL REFERENCES billing.billing_quota_periods (id) ON DELETE RESTRICT,
    user_id         text NOT NULL,
    metric_type     text NOT NULL,
    units           bigint NOT NULL CHECK (units >= 0),
    amount_minor    bigint NOT NULL CHECK (amount_minor >= 0),
    currency        text NOT NULL,
    explanation     jsonb NOT NULL,
    intent_id       uuid REFERENCES billing.billing_intents (id) ON DELETE RESTRICT,
    invoice_item_id text,
    computed_at     timestamptz NOT NULL,
    CONSTRAINT uq_billing_overages UNIQUE (account_id, overage_key)
);
"""

DOWNGRADE = """
DROP TABLE billing.billing_overages, billing.billing_quota_leases, billing.billing_quota_periods,
    billing.billing_quotas, billing.billing_meter_events, billing.billing_usage_adjustments,
    billing.billing_usage_periods, billing.billing_usage_monthly, billing.billing_usage_daily,
    billing.billing_usage_hourly, billing.billing_usage_keys, billing.billing_usage, billing.billing_usage_batches;
"""


def upgrade() -> None:
    op.execute(UPGRADE)
    for name in ("hourly", "daily", "monthly"):
        op.execute(ROLLUP.format(name=name))
    for remainder in range(KEY_PARTITIONS):
        op.execute(
            f"CREATE TABLE billing.billing_usage_keys_{remainder} PARTITION OF billing.billing_usage_keys "
            f"FOR VALUES WITH (MODULUS {KEY_PARTITIONS}, REMAINDER {remainder})"
        )


def downgrade() -> None:
    op.execute(DOWNGRADE)
