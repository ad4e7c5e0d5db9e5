"""Installation, clock, switches, operator actions, heartbeats.

One installation, one account, one mode: every process checks the single row of billing_installation at its start.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE billing.billing_installation (
    id            smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    account_id    text NOT NULL,
    livemode      boolean NOT NULL,
    stripe_is     text NOT NULL CHECK (stripe_is IN ('real', 'sandbox')),
    created_at    timestamptz NOT NULL
);

CREATE TABLE billing.billing_clock (
    id             smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    offset_seconds bigint NOT NULL DEFAULT 0 CHECK (offset_seconds >= 0)
);
INSERT INTO billing.billing_clock DEFAULT VALUES;

CREATE TABLE billing.billing_switches (
    name        text PRIMARY KEY,
    value       text NOT NULL,
    reason      text NOT NULL DEFAULT '',
    changed_by  text NOT NULL,
    changed_at  timestamptz NOT NULL
);

CREATE TABLE billing.billing_operator_actions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    acted_at    timestamptz NOT NULL,
    actor       text NOT NULL,
    command     text NOT NULL,
    arguments   jsonb NOT NULL DEFAULT '{}',
    reason      text NOT NULL DEFAULT '',
    outcome     text NOT NULL CHECK (outcome IN ('started', 'done', 'differences', 'refused', 'failed')),
    detail      text NOT NULL DEFAULT ''
);
CREATE INDEX ix_billing_operator_actions_acted_at ON billing.billing_operator_actions (acted_at);

CREATE TABLE billing.billing_service_heartbeats (
    service     text NOT NULL,
    instance    text NOT NULL,
    started_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,
    PRIMARY KEY (service, instance, started_at)
);
CREATE INDEX ix_billing_service_heartbeats_seen_at ON billing.billing_service_heartbeats (seen_at);

DO $$
BEGIN
    IF to_regclass('auth.users') IS NULL THEN
        CREATE SCHEMA IF NOT EXISTS auth;
        CREATE TABLE auth.users (id text PRIMARY KEY, email text, created_at timestamptz NOT NULL DEFAULT now());
        COMMENT ON TABLE auth.users IS 'created by nself-billing';
    END IF;
END $$;
"""

DOWNGRADE = """
DO $$
DECLARE mine boolean; filled boolean := false;
BEGIN
    mine := coalesce(obj_description(to_regclass('auth.users'), 'pg_class') = 'created by nself-billing', false);
    IF mine THEN
        EXECUTE 'SELECT EXISTS (SELECT 1 FROM auth.users)' INTO filled;
        IF NOT filled THEN DROP TABLE auth.users; END IF;
    END IF;
END $$;
DROP TABLE billing.billing_service_heartbeats, billing.billing_operator_actions, billing.billing_switches,
    billing.billing_clock, billing.billing_installation;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
