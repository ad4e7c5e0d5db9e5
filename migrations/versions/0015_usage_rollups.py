"""Rollups that never reread a bucket, corrections, archives, and the journal of meter events."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE billing.billing_usage ADD COLUMN corrects_id bigint;
COMMENT ON COLUMN billing.billing_usage.corrects_id IS
    'the record that this one takes back: its value is the negative of the other, and it counts as minus one record';

CREATE TABLE billing.billing_usage_uniques (
    user_id       text NOT NULL,
    metric_type   text NOT NULL,
    level         text NOT NULL CHECK (level IN ('hourly', 'daily', 'monthly')),
    bucket_start  timestamptz NOT NULL,
    unique_key    text NOT NULL,
    PRIMARY KEY (user_id, metric_type, level, bucket_start, unique_key)
);
COMMENT ON TABLE billing.billing_usage_uniques IS
    'the different keys of each bucket of a unique metric; a bucket is filled from raw records when it is first touched';

CREATE TABLE billing.billing_usage_archives (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    month_start   timestamptz NOT NULL,
    month_end     timestamptz NOT NULL,
    location      text NOT NULL,
    content_sha256 text NOT NULL,
    record_count  bigint NOT NULL CHECK (record_count >= 0),
    value_sum     numeric(38, 0) NOT NULL,
    archived_at   timestamptz NOT NULL,
    dropped_at    timestamptz,
    CHECK (month_end > month_start),
    CONSTRAINT uq_billing_usage_archives UNIQUE (month_start, location)
);

CREATE TABLE billing.billing_meter_marks (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id       text NOT NULL,
    metric_type   text NOT NULL,
    bucket_start  timestamptz NOT NULL
);
CREATE INDEX ix_billing_meter_marks_bucket ON billing.billing_meter_marks (bucket_start);

ALTER TABLE billing.billing_meter_events
    ADD COLUMN user_id text NOT NULL DEFAULT '',
    ADD COLUMN metric_type text NOT NULL DEFAULT '',
    ADD COLUMN segment_start timestamptz,
    ADD COLUMN segment_end timestamptz,
    ADD COLUMN generation integer NOT NULL DEFAULT 1,
    ADD COLUMN cancels text,
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN first_called_at timestamptz,
    ADD COLUMN next_attempt_at timestamptz,
    ADD COLUMN lease_until timestamptz,
    ADD COLUMN sent_at timestamptz,
    ADD COLUMN detail text NOT NULL DEFAULT '',
    DROP CONSTRAINT billing_meter_events_status_check,
    ADD CONSTRAINT billing_meter_events_status_check
        CHECK (status IN ('pending', 'sending', 'sent', 'canceled', 'failed', 'parked'));
CREATE INDEX ix_billing_meter_events_due ON billing.billing_meter_events (next_attempt_at)
    WHERE status IN ('pending', 'sending');
CREATE INDEX ix_billing_meter_events_segment
    ON billing.billing_meter_events (user_id, metric_type, segment_start);
CREATE INDEX ix_billing_meter_events_customer
    ON billing.billing_meter_events (customer_id, event_name, occurred_at);
"""

DOWNGRADE = """
DROP INDEX billing.ix_billing_meter_events_due, billing.ix_billing_meter_events_segment,
    billing.ix_billing_meter_events_customer;
ALTER TABLE billing.billing_meter_events
    DROP COLUMN user_id, DROP COLUMN metric_type, DROP COLUMN segment_start, DROP COLUMN segment_end,
    DROP COLUMN generation, DROP COLUMN cancels, DROP COLUMN attempts, DROP COLUMN first_called_at,
    DROP COLUMN next_attempt_at, DROP COLUMN lease_until, DROP COLUMN sent_at, DROP COLUMN detail,
    DROP CONSTRAINT billing_meter_events_status_check,
    ADD CONSTRAINT billing_meter_events_status_check CHECK (status IN ('pending', 'sent', 'canceled', 'failed'));
DROP TABLE billing.billing_meter_marks, billing.billing_usage_archives, billing.billing_usage_uniques;
ALTER TABLE billing.billing_usage DROP COLUMN corrects_id;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
