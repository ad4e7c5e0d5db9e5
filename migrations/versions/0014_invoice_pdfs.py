"""Rendered invoices as rows; bounces of mail, and the addresses that are not written to any more."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# `document` is what the template was given: a row can be rendered without Stripe, and tells later what was in the page.
# `lease_until` is wall time, because a simulated clock may jump. PDFs are compressed already.
UPGRADE = """
CREATE TABLE billing.billing_invoice_pdfs (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id        text NOT NULL DEFAULT '',
    invoice_id        text NOT NULL,
    customer_id       text,
    invoice_version   timestamptz NOT NULL,
    content_hash      text NOT NULL,
    document          jsonb NOT NULL,
    status            text NOT NULL CHECK (status IN ('queued', 'rendering', 'rendered', 'failed')),
    attempts          smallint NOT NULL DEFAULT 0,
    requested_at      timestamptz NOT NULL,
    lease_until       timestamptz,
    finished_at       timestamptz,
    duration_ms       integer,
    peak_memory_bytes bigint,
    pages             integer,
    body              bytea,
    detail            text NOT NULL DEFAULT '',
    CONSTRAINT uq_billing_invoice_pdfs_content UNIQUE (account_id, invoice_id, content_hash),
    CONSTRAINT ck_billing_invoice_pdfs_body CHECK ((status = 'rendered') = (body IS NOT NULL))
);
ALTER TABLE billing.billing_invoice_pdfs ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX ix_billing_invoice_pdfs_open ON billing.billing_invoice_pdfs (id) WHERE status IN ('queued', 'rendering');
CREATE INDEX ix_billing_invoice_pdfs_customer ON billing.billing_invoice_pdfs (customer_id);

CREATE TABLE billing.billing_message_bounces (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id    bigint NOT NULL REFERENCES billing.billing_messages (id) ON DELETE RESTRICT,
    report_digest text NOT NULL,
    received_at   timestamptz NOT NULL,
    action        text NOT NULL,
    status_code   text NOT NULL,
    detail        text NOT NULL DEFAULT '',
    CONSTRAINT uq_billing_message_bounces_report UNIQUE (message_id, report_digest)
);

CREATE TABLE billing.billing_mail_suppressions (
    account_id     text NOT NULL DEFAULT '',
    address_digest text NOT NULL,
    message_id     bigint NOT NULL REFERENCES billing.billing_messages (id) ON DELETE RESTRICT,
    reason         text NOT NULL,
    suppressed_at  timestamptz NOT NULL,
    CONSTRAINT pk_billing_mail_suppressions PRIMARY KEY (account_id, address_digest)
);

CREATE INDEX ix_billing_messages_recipient ON billing.billing_messages (lower(recipient), sent_at)
    WHERE sent_at IS NOT NULL;
"""

DOWNGRADE = """
DROP INDEX billing.ix_billing_messages_recipient;
DROP TABLE billing.billing_mail_suppressions, billing.billing_message_bounces, billing.billing_invoice_pdfs;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
