"""The receiver's memory: which secret verified what, rotations, Stripe's addresses."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE billing.billing_webhook_secrets (
    fingerprint   text PRIMARY KEY,
    deliveries    bigint NOT NULL DEFAULT 0 CHECK (deliveries >= 0),
    first_used_at timestamptz NOT NULL,
    last_used_at  timestamptz NOT NULL
);

CREATE TABLE billing.billing_secret_rotations (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state           text NOT NULL CHECK (state IN ('planned', 'watching', 'retiring', 'done', 'aborted')),
    url             text NOT NULL,
    old_endpoint_id text NOT NULL DEFAULT '',
    new_endpoint_id text NOT NULL DEFAULT '',
    old_fingerprint text NOT NULL,
    new_fingerprint text NOT NULL DEFAULT '',
    baseline        bigint NOT NULL DEFAULT 0,
    started_at      timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL,
    detail          text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX uq_billing_secret_rotations_open ON billing.billing_secret_rotations ((true))
    WHERE state IN ('planned', 'watching', 'retiring');

CREATE TABLE billing.billing_stripe_addresses (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    networks   text[] NOT NULL CHECK (cardinality(networks) > 0),
    added      text[] NOT NULL DEFAULT '{}',
    removed    text[] NOT NULL DEFAULT '{}',
    source     text NOT NULL,
    fetched_at timestamptz NOT NULL,
    checked_at timestamptz NOT NULL,
    status     text NOT NULL CHECK (status IN ('active', 'proposed', 'retired'))
);
CREATE UNIQUE INDEX uq_billing_stripe_addresses_active ON billing.billing_stripe_addresses (status)
    WHERE status IN ('active', 'proposed');
"""

DOWNGRADE = """
DROP TABLE billing.billing_stripe_addresses, billing.billing_secret_rotations, billing.billing_webhook_secrets;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
