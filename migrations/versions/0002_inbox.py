"""The durable inbox: narrow events, insert-only bodies by month, lanes, parked objects, certificates, erasures."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE billing.billing_webhook_events (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id       text NOT NULL DEFAULT '',
    event_id         text NOT NULL,
    type             text NOT NULL,
    api_version      text NOT NULL DEFAULT '',
    source           text NOT NULL DEFAULT 'webhook'
                     CHECK (source IN ('webhook', 'events_api', 'write_through', 'reconcile', 'import', 'fetch', 'certify')),
    object_type      text NOT NULL DEFAULT '',
    object_id        text NOT NULL DEFAULT '',
    object_key       text NOT NULL DEFAULT '',
    customer_id      text,
    lane             smallint NOT NULL CHECK (lane BETWEEN 0 AND 63),
    created          timestamptz NOT NULL,
    observed_at      timestamptz,
    received_at      timestamptz NOT NULL,
    last_delivery_at timestamptz NOT NULL,
    deliveries       integer NOT NULL DEFAULT 1 CHECK (deliveries >= 0),
    status           text NOT NULL DEFAULT 'pending'
                     CHECK (status IN ('pending', 'applied', 'ignored', 'quarantined', 'failed', 'discarded', 'duplicate')),
    superseded       boolean NOT NULL DEFAULT false,
    order_unproven   boolean NOT NULL DEFAULT false,
    attempts         smallint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at  timestamptz,
    reason           text NOT NULL DEFAULT '',
    detail           text NOT NULL DEFAULT '',
    finished_at      timestamptz,
    waited_ms        integer,
    applied_ms       integer,
    body_sha256      bytea,
    CONSTRAINT uq_billing_webhook_events_account_event UNIQUE (account_id, event_id)
) WITH (fillfactor = 80);
CREATE INDEX ix_billing_webhook_events_pending ON billing.billing_webhook_events (lane, id) WHERE status = 'pending';
CREATE INDEX ix_billing_webhook_events_object ON billing.billing_webhook_events (object_key, created);
CREATE INDEX ix_billing_webhook_events_received ON billing.billing_webhook_events (received_at);
CREATE INDEX ix_billing_webhook_events_customer ON billing.billing_webhook_events (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX ix_billing_webhook_events_stopped ON billing.billing_webhook_events (status, id)
    WHERE status IN ('failed', 'quarantined');

CREATE TABLE billing.billing_webhook_payloads (
    event_row_id bigint NOT NULL,
    received_at  timestamptz NOT NULL,
    body         bytea NOT NULL,
    PRIMARY KEY (event_row_id, received_at)
) PARTITION BY RANGE (received_at);
CREATE TABLE billing.billing_webhook_payloads_default PARTITION OF billing.billing_webhook_payloads DEFAULT;

CREATE TABLE billing.billing_object_baselines (
    object_key  text PRIMARY KEY,
    created     timestamptz NOT NULL,
    body        jsonb NOT NULL,
    kept_at     timestamptz NOT NULL
);

CREATE TABLE billing.billing_parked_objects (
    object_key   text PRIMARY KEY,
    lane         smallint NOT NULL CHECK (lane BETWEEN 0 AND 63),
    waits_for    text NOT NULL CHECK (waits_for IN ('backoff', 'fetch')),
    parked_until timestamptz NOT NULL,
    attempts     smallint NOT NULL DEFAULT 1 CHECK (attempts >= 1),
    reason       text NOT NULL,
    detail       text NOT NULL DEFAULT '',
    parked_at    timestamptz NOT NULL
);
CREATE INDEX ix_billing_parked_objects_due ON billing.billing_parked_objects (waits_for, parked_until);

CREATE TABLE billing.billing_lanes (
    lane             smallint PRIMARY KEY CHECK (lane BETWEEN 0 AND 63),
    batch_size       integer NOT NULL DEFAULT 0 CHECK (batch_size >= 0),
    batch_row_ids    bigint[],
    batch_started_at timestamptz,
    crashes          smallint NOT NULL DEFAULT 0 CHECK (crashes >= 0)
);
INSERT INTO billing.billing_lanes (lane) SELECT generate_series(0, 63);

CREATE TABLE billing.billing_webhook_certificates (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    text NOT NULL DEFAULT '',
    window_start  timestamptz NOT NULL,
    window_end    timestamptz NOT NULL,
    counts        jsonb NOT NULL,
    missing       jsonb NOT NULL DEFAULT '[]',
    healed        integer NOT NULL DEFAULT 0,
    issued_at     timestamptz NOT NULL,
    CHECK (window_end > window_start)
);

CREATE TABLE billing.billing_erasures (
    account_id   text NOT NULL DEFAULT '',
    customer_id  text NOT NULL,
    erased_at    timestamptz NOT NULL,
    reason       text NOT NULL,
    PRIMARY KEY (account_id, customer_id)
);
"""

DOWNGRADE = """
DROP TABLE billing.billing_erasures, billing.billing_webhook_certificates, billing.billing_lanes,
    billing.billing_parked_objects, billing.billing_object_baselines, billing.billing_webhook_payloads,
    billing.billing_webhook_events;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
