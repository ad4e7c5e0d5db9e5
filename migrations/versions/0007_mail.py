"""Mail: one message per effect, and the history of its attempts."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE billing.billing_messages ADD CONSTRAINT uq_billing_messages_effect UNIQUE (effect_id);

CREATE TABLE billing.billing_message_attempts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id  bigint NOT NULL REFERENCES billing.billing_messages (id) ON DELETE RESTRICT,
    attempt     smallint NOT NULL CHECK (attempt >= 1),
    started_at  timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    ended_at    timestamptz,
    outcome     text NOT NULL CHECK (outcome IN ('sending', 'sent', 'deferred', 'rejected', 'unknown')),
    detail      text NOT NULL DEFAULT '',
    CONSTRAINT uq_billing_message_attempts UNIQUE (message_id, attempt)
);
CREATE INDEX ix_billing_message_attempts_open ON billing.billing_message_attempts (lease_until)
    WHERE outcome = 'sending';
"""

DOWNGRADE = """
DROP TABLE billing.billing_message_attempts;
ALTER TABLE billing.billing_messages DROP CONSTRAINT uq_billing_messages_effect;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
