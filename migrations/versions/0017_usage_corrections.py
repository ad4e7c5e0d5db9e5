"""A correction may reach a rollup's row as minus one record."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

LEVELS = ("hourly", "daily", "monthly")


def upgrade() -> None:
    # PostgreSQL checks the row that INSERT proposes, even where ON CONFLICT then adds it to another
    for level in LEVELS:
        op.execute(
            f"ALTER TABLE billing.billing_usage_{level} DROP CONSTRAINT billing_usage_{level}_record_count_check"
        )


def downgrade() -> None:
    for level in LEVELS:
        op.execute(
            f"ALTER TABLE billing.billing_usage_{level} "
            f"ADD CONSTRAINT billing_usage_{level}_record_count_check CHECK (record_count >= 0) NOT VALID"
        )
