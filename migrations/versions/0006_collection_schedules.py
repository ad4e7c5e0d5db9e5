"""Payment queue and retries, the schedule ledger, leader leases, reconciliation runs, incidents."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE billing.billing_payment_queue (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    text NOT NULL DEFAULT '',
    payment_key   text NOT NULL,
    customer_id   text NOT NULL,
    invoice_id    text,
    amount_minor  bigint CHECK (amount_minor > 0),
    currency      text,
    parameters    jsonb NOT NULL DEFAULT '{}',
    status        text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'released', 'done', 'failed', 'discarded')),
    intent_id     uuid REFERENCES billing.billing_intents (id) ON DELETE RESTRICT,
    queued_at     timestamptz NOT NULL,
    finished_at   timestamptz,
    detail        text NOT NULL DEFAULT '',
    CONSTRAINT uq_billing_payment_queue UNIQUE (account_id, payment_key)
);
CREATE INDEX ix_billing_payment_queue_open ON billing.billing_payment_queue (id) WHERE status IN ('queued', 'released');

CREATE TABLE billing.billing_payment_retries (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id      text NOT NULL DEFAULT '',
    invoice_id      text NOT NULL,
    failed_at       timestamptz NOT NULL,
    attempt_count   integer NOT NULL CHECK (attempt_count >= 1),
    subscription_id text,
    customer_id     text,
    amount_minor    bigint NOT NULL CHECK (amount_minor >= 0),
    currency        text NOT NULL,
    decline_code    text,
    decision        text NOT NULL CHECK (decision IN ('retry', 'give_up', 'wait_for_customer')),
    explanation     text NOT NULL,
    due_at          timestamptz,
    inspected_at    timestamptz,
    next_attempt_at timestamptz,
    status          text NOT NULL CHECK (status IN ('waiting', 'trying', 'recovered', 'declined', 'given_up', 'canceled')),
    intent_id       uuid REFERENCES billing.billing_intents (id) ON DELETE RESTRICT,
    planned_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    CHECK ((decision = 'retry') = (due_at IS NOT NULL)),
    CONSTRAINT uq_billing_payment_retries UNIQUE (account_id, invoice_id, failed_at)
);
CREATE INDEX ix_billing_payment_retries_due ON billing.billing_payment_retries (next_attempt_at)
    WHERE status IN ('waiting', 'trying') AND next_attempt_at IS NOT NULL;
CREATE INDEX ix_billing_payment_retries_customer ON billing.billing_payment_retries (customer_id);

CREATE TABLE billing.billing_schedule_jobs (
    job          text PRIMARY KEY,
    schedule     text NOT NULL,
    next_due_at  timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);

CREATE TABLE billing.billing_schedule_runs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job          text NOT NULL,
    due_at       timestamptz NOT NULL,
    status       text NOT NULL DEFAULT 'due' CHECK (status IN ('due', 'running', 'done', 'failed', 'skipped')),
    attempts     smallint NOT NULL DEFAULT 0,
    not_before   timestamptz,
    lease_until  timestamptz,
    heartbeat_at timestamptz,
    worker       text,
    started_at   timestamptz,
    finished_at  timestamptz,
    report       jsonb,
    detail       text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL,
    CHECK (status <> 'running' OR (lease_until IS NOT NULL AND worker IS NOT NULL)),
    CONSTRAINT uq_billing_schedule_runs UNIQUE (job, due_at)
);
CREATE INDEX ix_billing_schedule_runs_open ON billing.billing_schedule_runs (due_at) WHERE status IN ('due', 'running');
CREATE INDEX ix_billing_schedule_runs_job ON billing.billing_schedule_runs (job, due_at DESC);

CREATE TABLE billing.billing_leases (
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE billing.billing_reconciliation_runs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   text NOT NULL DEFAULT '',
    started_by   text NOT NULL,
    scope        jsonb NOT NULL,
    cursor       jsonb NOT NULL DEFAULT '{}',
    status       text NOT NULL DEFAULT 'running'
                 CHECK (status IN ('running', 'incomplete', 'done', 'failed')),
    compared     bigint NOT NULL DEFAULT 0,
    differing    bigint NOT NULL DEFAULT 0,
    refreshed    bigint NOT NULL DEFAULT 0,
    healed       bigint NOT NULL DEFAULT 0,
    started_at   timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    finished_at  timestamptz,
    detail       text NOT NULL DEFAULT ''
);

CREATE TABLE billing.billing_reconciliation_differences (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id       bigint NOT NULL REFERENCES billing.billing_reconciliation_runs (id) ON DELETE RESTRICT,
    object_key   text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('missing_here', 'missing_at_stripe', 'differs')),
    fields       jsonb NOT NULL DEFAULT '{}',
    found_at     timestamptz NOT NULL,
    event_row_id bigint,
    healed_at    timestamptz,
    CONSTRAINT uq_billing_reconciliation_differences UNIQUE (run_id, object_key)
);

CREATE INDEX ix_billing_reconciliation_differences_unhealed ON billing.billing_reconciliation_differences (event_row_id)
    WHERE healed_at IS NULL AND event_row_id IS NOT NULL;

CREATE TABLE billing.billing_reconciliation_seen (
    run_id      bigint NOT NULL REFERENCES billing.billing_reconciliation_runs (id) ON DELETE CASCADE,
    object_type text NOT NULL,
    object_id   text NOT NULL,
    PRIMARY KEY (run_id, object_type, object_id)
);

CREATE TABLE billing.billing_incidents (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type        text NOT NULL,
    severity    text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    description text NOT NULL,
    opened_at   timestamptz NOT NULL,
    opened_by   text NOT NULL,
    closed_at   timestamptz
);
"""

DOWNGRADE = """
DROP TABLE billing.billing_incidents, billing.billing_reconciliation_seen, billing.billing_reconciliation_differences,
    billing.billing_reconciliation_runs, billing.billing_leases, billing.billing_schedule_runs,
    billing.billing_schedule_jobs, billing.billing_payment_retries, billing.billing_payment_queue;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
