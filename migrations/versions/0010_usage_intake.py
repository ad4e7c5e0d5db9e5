"""Usage intake: compact idempotency keys, held records, adjustments that say where they come from."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

CLAIM_PARTITIONS = 8

UPGRADE = """
CREATE TABLE billing.billing_usage_claims (
    digest        uuid NOT NULL,
    payload_hash  uuid NOT NULL,
    batch_id      bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    PRIMARY KEY (digest)
) PARTITION BY HASH (digest);
COMMENT ON TABLE billing.billing_usage_claims IS
    'first half of SHA-256 of an idempotency key and of what was sent under it; takes the place of billing_usage_keys';

CREATE TABLE billing.billing_usage_held (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id         bigint NOT NULL,
    user_id          text NOT NULL,
    metric_type      text NOT NULL,
    value            bigint NOT NULL,
    unique_key       text,
    created_at       timestamptz NOT NULL,
    recorded_at      timestamptz NOT NULL,
    idempotency_key  text,
    source           text NOT NULL,
    reason           text NOT NULL CHECK (reason IN ('unknown_user', 'unknown_metric', 'key_conflict', 'refused')),
    detail           text NOT NULL DEFAULT ''
);
CREATE INDEX ix_billing_usage_held_reason ON billing.billing_usage_held (reason, id);

ALTER TABLE billing.billing_usage_adjustments
    ADD COLUMN usage_at timestamptz,
    ADD COLUMN unique_key text,
    ADD COLUMN idempotency_key text;
CREATE INDEX ix_billing_usage_periods_end ON billing.billing_usage_periods (period_end);
"""

CARRY_OVER = """
INSERT INTO billing.billing_usage_claims (digest, payload_hash, batch_id, first_seen_at)
SELECT encode(substring(digest FROM 1 FOR 16), 'hex')::uuid,
    encode(substring(payload_hash FROM 1 FOR 16), 'hex')::uuid, 0, first_seen_at
FROM billing.billing_usage_keys WHERE scope = ''
"""

DOWNGRADE = """
DROP INDEX billing.ix_billing_usage_periods_end;
ALTER TABLE billing.billing_usage_adjustments
    DROP COLUMN usage_at, DROP COLUMN unique_key, DROP COLUMN idempotency_key;
DROP TABLE billing.billing_usage_held, billing.billing_usage_claims;
"""


def upgrade() -> None:
    op.execute(UPGRADE)
    for remainder in range(CLAIM_PARTITIONS):
        op.execute(
            f"CREATE TABLE billing.billing_usage_claims_{remainder} PARTITION OF billing.billing_usage_claims "
            f"FOR VALUES WITH (MODULUS {CLAIM_PARTITIONS}, REMAINDER {remainder})"
        )
    op.execute(CARRY_OVER)


def downgrade() -> None:
    op.execute(DOWNGRADE)
