"""Baselines tell which bodies they keep and up to when the others are pruned."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE billing.billing_object_baselines
    ADD COLUMN kept_row_ids bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN pruned_until timestamptz;
"""

DOWNGRADE = """
ALTER TABLE billing.billing_object_baselines DROP COLUMN kept_row_ids, DROP COLUMN pruned_until;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
