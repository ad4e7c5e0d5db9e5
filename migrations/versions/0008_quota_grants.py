"""Quota grants: what checks and reservations took, who spends which lease, plans' quotas, the zone days are cut in."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# A plan's quota is a template: the anchor of a billing period comes from each user's subscription.
UPGRADE = """
ALTER TABLE billing.billing_quotas
    ADD COLUMN from_price_id text,
    ADD COLUMN settles boolean NOT NULL DEFAULT true,
    DROP CONSTRAINT billing_quotas_check1,
    ADD CONSTRAINT ck_billing_quotas_anchor
        CHECK ((period = 'billing' AND price_id IS NULL) = (anchor_at IS NOT NULL)),
    ADD CONSTRAINT ck_billing_quotas_from_price CHECK (from_price_id IS NULL OR user_id IS NOT NULL);
CREATE INDEX ix_billing_quotas_from_price ON billing.billing_quotas (from_price_id) WHERE from_price_id IS NOT NULL;

ALTER TABLE billing.billing_quota_periods
    ADD COLUMN spent_value bigint NOT NULL DEFAULT 0 CHECK (spent_value >= 0),
    ADD COLUMN settled_value bigint NOT NULL DEFAULT 0 CHECK (settled_value >= 0),
    ADD COLUMN credit_value bigint NOT NULL DEFAULT 0 CHECK (credit_value >= 0),
    ADD CONSTRAINT ck_billing_quota_periods_settled CHECK (settled_value <= spent_value);

ALTER TABLE billing.billing_quota_leases
    ADD COLUMN missing_since timestamptz,
    ADD COLUMN ended_by text CHECK (ended_by IN ('returned', 'reported', 'lost'));
CREATE INDEX ix_billing_quota_leases_expiry ON billing.billing_quota_leases (expires_at) WHERE returned_at IS NULL;

CREATE TABLE billing.billing_quota_lease_spenders (
    lease_id    uuid NOT NULL REFERENCES billing.billing_quota_leases (id) ON DELETE CASCADE,
    spender_id  uuid NOT NULL,
    units       bigint CHECK (units >= 0),
    reported_at timestamptz,
    PRIMARY KEY (lease_id, spender_id),
    CHECK ((units IS NULL) = (reported_at IS NULL))
);

CREATE TABLE billing.billing_quota_reservations (
    id              uuid PRIMARY KEY,
    quota_period_id bigint NOT NULL REFERENCES billing.billing_quota_periods (id) ON DELETE RESTRICT,
    units           bigint NOT NULL CHECK (units > 0),
    spent           bigint CHECK (spent BETWEEN 0 AND units),
    status          text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'committed', 'released', 'expired')),
    reserved_at     timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    CHECK ((status = 'open') = (ended_at IS NULL)),
    CHECK ((status = 'committed') = (spent IS NOT NULL))
);
CREATE INDEX ix_billing_quota_reservations_open ON billing.billing_quota_reservations (quota_period_id, expires_at)
    WHERE status = 'open';

ALTER TABLE billing.billing_installation ADD COLUMN billing_timezone text;
"""

DOWNGRADE = """
ALTER TABLE billing.billing_installation DROP COLUMN billing_timezone;
DROP TABLE billing.billing_quota_reservations, billing.billing_quota_lease_spenders;
ALTER TABLE billing.billing_quota_leases DROP COLUMN missing_since, DROP COLUMN ended_by;
DROP INDEX billing.ix_billing_quota_leases_expiry;
ALTER TABLE billing.billing_quota_periods
    DROP COLUMN spent_value, DROP COLUMN settled_value, DROP COLUMN credit_value;
DELETE FROM billing.billing_quotas WHERE price_id IS NOT NULL AND period = 'billing';
ALTER TABLE billing.billing_quotas
    DROP CONSTRAINT ck_billing_quotas_anchor, DROP COLUMN from_price_id, DROP COLUMN settles,
    ADD CONSTRAINT billing_quotas_check1 CHECK ((period = 'billing') = (anchor_at IS NOT NULL));
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
