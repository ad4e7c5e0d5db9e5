"""Overage: rows with their inputs, price and way to the invoice; what of each quota period is accounted for."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# No release wrote overages, so the new columns need no defaults. What closed before this release is taken as accounted
# for: an upgrade must not bill the past.
UPGRADE = """
ALTER TABLE billing.billing_overages
    DROP CONSTRAINT billing_overages_units_check,
    DROP CONSTRAINT billing_overages_amount_minor_check,
    ADD COLUMN kind            text NOT NULL CHECK (kind IN ('period', 'adjustment')),
    ADD COLUMN status          text NOT NULL CHECK (status IN
        ('computed', 'carried', 'billing', 'billed', 'waived', 'unbillable', 'failed')),
    ADD COLUMN customer_id     text,
    ADD COLUMN subscription_id text,
    ADD COLUMN period_start    timestamptz NOT NULL,
    ADD COLUMN period_end      timestamptz NOT NULL,
    ADD COLUMN used_value      bigint NOT NULL,
    ADD COLUMN measured_value  bigint NOT NULL,
    ADD COLUMN granted_value   bigint NOT NULL,
    ADD COLUMN price           jsonb,
    ADD COLUMN source          text NOT NULL CHECK (source IN ('usage', 'operator')),
    ADD COLUMN inputs_sha256   text NOT NULL,
    ADD COLUMN attempt         smallint NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    ADD COLUMN next_attempt_at timestamptz,
    ADD COLUMN invoice_id      text,
    ADD COLUMN detail          text NOT NULL DEFAULT '',
    ADD COLUMN reason          text NOT NULL DEFAULT '',
    ADD COLUMN billed_at       timestamptz,
    ADD CONSTRAINT ck_billing_overages_sign
        CHECK (kind = 'adjustment' OR (units >= 0 AND amount_minor >= 0)),
    ADD CONSTRAINT ck_billing_overages_billed CHECK ((status = 'billed') = (billed_at IS NOT NULL)),
    ADD CONSTRAINT ck_billing_overages_payer
        CHECK (status IN ('unbillable', 'waived') OR (customer_id IS NOT NULL AND price IS NOT NULL));
CREATE INDEX ix_billing_overages_due ON billing.billing_overages (next_attempt_at, id)
    WHERE status IN ('computed', 'billing');
CREATE INDEX ix_billing_overages_open ON billing.billing_overages (account_id, customer_id, currency)
    WHERE status IN ('computed', 'carried');
CREATE INDEX ix_billing_overages_user ON billing.billing_overages (user_id, period_start);
CREATE INDEX ix_billing_overages_period ON billing.billing_overages (quota_period_id, id);

ALTER TABLE billing.billing_quota_periods
    ADD COLUMN accounted_value bigint CHECK (accounted_value >= 0),
    ADD COLUMN limit_seconds numeric(38, 0) NOT NULL DEFAULT 0,
    ADD COLUMN limit_since timestamptz;
COMMENT ON COLUMN billing.billing_quota_periods.limit_seconds IS
    'replaced limits of the period, each times the seconds it held; limit_since: from when limit_value holds';
COMMENT ON COLUMN billing.billing_quota_periods.accounted_value IS
    'the use that overage has looked at; more use in a closed period beyond its limit is due';
UPDATE billing.billing_quota_periods SET accounted_value = used_value
    WHERE status = 'closed' AND used_value > limit_value + rolled_over;
CREATE INDEX ix_billing_quota_periods_overage ON billing.billing_quota_periods (period_end, id)
    WHERE status = 'closed' AND used_value > limit_value + rolled_over
    AND (accounted_value IS NULL OR used_value > accounted_value);
"""

DOWNGRADE = """
DROP INDEX billing.ix_billing_quota_periods_overage;
ALTER TABLE billing.billing_quota_periods
    DROP COLUMN accounted_value, DROP COLUMN limit_seconds, DROP COLUMN limit_since;
DROP INDEX billing.ix_billing_overages_due, billing.ix_billing_overages_open, billing.ix_billing_overages_user,
    billing.ix_billing_overages_period;
ALTER TABLE billing.billing_overages
    DROP CONSTRAINT ck_billing_overages_sign, DROP CONSTRAINT ck_billing_overages_billed,
    DROP CONSTRAINT ck_billing_overages_payer,
    DROP COLUMN kind, DROP COLUMN status, DROP COLUMN customer_id, DROP COLUMN subscription_id,
    DROP COLUMN period_start, DROP COLUMN period_end, DROP COLUMN used_value, DROP COLUMN measured_value,
    DROP COLUMN granted_value, DROP COLUMN price, DROP COLUMN source, DROP COLUMN inputs_sha256, DROP COLUMN attempt,
    DROP COLUMN next_attempt_at, DROP COLUMN invoice_id, DROP COLUMN detail, DROP COLUMN reason,
    DROP COLUMN billed_at,
    ADD CONSTRAINT billing_overages_units_check CHECK (units >= 0),
    ADD CONSTRAINT billing_overages_amount_minor_check CHECK (amount_minor >= 0);
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
