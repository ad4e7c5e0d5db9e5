"""Effects keyed by what happened, intents that call Stripe, dirty marks, customer state, the money ledger, mail log."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE billing.billing_effects (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id      text NOT NULL DEFAULT '',
    effect_key      text NOT NULL,
    kind            text NOT NULL,
    object_key      text NOT NULL,
    customer_id     text,
    event_row_id    bigint,
    payload         jsonb NOT NULL DEFAULT '{}',
    not_after       timestamptz,
    status          text NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'running', 'done', 'skipped', 'failed', 'unknown')),
    attempts        smallint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz NOT NULL,
    detail          text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    CONSTRAINT uq_billing_effects_account_key UNIQUE (account_id, effect_key)
);
CREATE INDEX ix_billing_effects_due ON billing.billing_effects (kind, next_attempt_at, id)
    WHERE status IN ('pending', 'running');
CREATE INDEX ix_billing_effects_stopped ON billing.billing_effects (status, finished_at)
    WHERE status IN ('failed', 'unknown');
CREATE INDEX ix_billing_effects_object ON billing.billing_effects (object_key);
CREATE INDEX ix_billing_effects_customer ON billing.billing_effects (customer_id) WHERE customer_id IS NOT NULL;

CREATE TABLE billing.billing_intents (
    id              uuid PRIMARY KEY,
    account_id      text NOT NULL DEFAULT '',
    intent_key      text NOT NULL,
    operation       text NOT NULL,
    priority        text NOT NULL DEFAULT 'payments'
                    CHECK (priority IN ('interactive', 'webhooks', 'payments', 'reconciliation')),
    parameters      jsonb NOT NULL,
    api_version     text NOT NULL,
    customer_id     text,
    parent_key      text,
    generation      smallint NOT NULL DEFAULT 1 CHECK (generation >= 1),
    idempotency_key text NOT NULL,
    first_called_at timestamptz,
    last_called_at  timestamptz,
    status          text NOT NULL DEFAULT 'pending'
                    CHECK (status IN ('pending', 'calling', 'succeeded', 'declined', 'failed', 'parked')),
    attempts        smallint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz NOT NULL,
    lease_until     timestamptz,
    stripe_id       text,
    request_id      text,
    error_code      text,
    decline_code    text,
    detail          text NOT NULL DEFAULT '',
    response        jsonb,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    CONSTRAINT uq_billing_intents_account_key UNIQUE (account_id, intent_key),
    CONSTRAINT uq_billing_intents_idempotency UNIQUE (idempotency_key)
);
CREATE INDEX ix_billing_intents_open ON billing.billing_intents (operation, next_attempt_at)
    WHERE status IN ('pending', 'calling');
CREATE INDEX ix_billing_intents_stopped ON billing.billing_intents (status, finished_at)
    WHERE status IN ('failed', 'parked');
CREATE INDEX ix_billing_intents_parent ON billing.billing_intents (parent_key) WHERE parent_key IS NOT NULL;

CREATE TABLE billing.billing_dirty_marks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  text NOT NULL DEFAULT '',
    kind        text NOT NULL,
    subject_id  text NOT NULL,
    marked_at   timestamptz NOT NULL
);
CREATE INDEX ix_billing_dirty_marks_subject ON billing.billing_dirty_marks (kind, account_id, subject_id, id);

CREATE TABLE billing.billing_customer_users (
    account_id  text NOT NULL DEFAULT '',
    customer_id text NOT NULL,
    user_id     text NOT NULL,
    linked_at   timestamptz NOT NULL,
    linked_by   text NOT NULL,
    PRIMARY KEY (account_id, customer_id),
    CONSTRAINT uq_billing_customer_users_user UNIQUE (account_id, user_id)
);

CREATE TABLE billing.billing_customer_access (
    account_id      text NOT NULL DEFAULT '',
    customer_id     text NOT NULL,
    access          text NOT NULL CHECK (access IN ('granted', 'grace', 'none', 'revoked')),
    price_ids       text[] NOT NULL DEFAULT '{}',
    subscription_id text,
    overridden_by   text,
    override_reason text,
    computed_at     timestamptz NOT NULL,
    PRIMARY KEY (account_id, customer_id)
);

CREATE TABLE billing.billing_transactions (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id     text NOT NULL DEFAULT '',
    transaction_key text NOT NULL,
    kind           text NOT NULL
                   CHECK (kind IN ('charge', 'refund', 'refund_reversal', 'dispute', 'dispute_reversal')),
    stripe_id      text NOT NULL,
    charge_id      text,
    payment_intent_id text,
    customer_id    text,
    amount_minor   bigint NOT NULL CHECK (amount_minor >= 0),
    currency       text NOT NULL,
    livemode       boolean NOT NULL,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    CONSTRAINT uq_billing_transactions_account_key UNIQUE (account_id, transaction_key)
);
CREATE INDEX ix_billing_transactions_customer ON billing.billing_transactions (customer_id, occurred_at);
CREATE INDEX ix_billing_transactions_occurred ON billing.billing_transactions (occurred_at);

CREATE TABLE billing.billing_messages (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id      text NOT NULL DEFAULT '',
    effect_id       bigint REFERENCES billing.billing_effects (id) ON DELETE RESTRICT,
    message_id      text NOT NULL,
    customer_id     text,
    template        text NOT NULL,
    recipient       text,
    subject         text NOT NULL DEFAULT '',
    status          text NOT NULL CHECK (status IN ('queued', 'sent', 'bounced', 'failed', 'suppressed', 'unknown')),
    attempts        smallint NOT NULL DEFAULT 0,
    detail          text NOT NULL DEFAULT '',
    queued_at       timestamptz NOT NULL,
    sent_at         timestamptz,
    CONSTRAINT uq_billing_messages_message_id UNIQUE (account_id, message_id)
);
CREATE INDEX ix_billing_messages_customer ON billing.billing_messages (customer_id);
"""

DOWNGRADE = """
DROP TABLE billing.billing_messages, billing.billing_transactions, billing.billing_customer_access,
    billing.billing_customer_users, billing.billing_dirty_marks, billing.billing_intents, billing.billing_effects;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
