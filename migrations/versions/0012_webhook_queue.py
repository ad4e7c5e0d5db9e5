"""The lanes' queue of waiting events, and which objects had theirs taken out of it while parked."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# The trigger fires after the events are written, so a transaction has its number before it takes a position: that is
# what lets a lane know that no position below its mark can still appear (ADR 0010).
UPGRADE = """
CREATE TABLE billing.billing_webhook_queue (
    lane         smallint NOT NULL CHECK (lane BETWEEN 0 AND 63),
    position     bigint GENERATED ALWAYS AS IDENTITY,
    event_row_id bigint NOT NULL,
    PRIMARY KEY (lane, position)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE billing.billing_held_objects (
    object_key    text PRIMARY KEY,
    lane          smallint NOT NULL CHECK (lane BETWEEN 0 AND 63),
    after_created timestamptz,
    after_id      bigint,
    CHECK ((after_created IS NULL) = (after_id IS NULL))
);
CREATE INDEX ix_billing_held_objects_lane ON billing.billing_held_objects (lane);

ALTER TABLE billing.billing_lanes
    ADD COLUMN taken_through bigint NOT NULL DEFAULT 0,
    ADD COLUMN next_through bigint,
    ADD COLUMN next_xid xid8;

CREATE FUNCTION billing.queue_pending_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.billing_webhook_queue (lane, event_row_id)
    SELECT lane, id FROM stored WHERE status = 'pending' ORDER BY id;
    RETURN NULL;
END
$$;

CREATE FUNCTION billing.queue_rearmed_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.billing_webhook_queue (lane, event_row_id) VALUES (NEW.lane, NEW.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER queue_pending_events AFTER INSERT ON billing.billing_webhook_events
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION billing.queue_pending_events();
CREATE TRIGGER queue_rearmed_event AFTER UPDATE OF status ON billing.billing_webhook_events
    FOR EACH ROW WHEN (NEW.status = 'pending' AND OLD.status <> 'pending')
    EXECUTE FUNCTION billing.queue_rearmed_event();

INSERT INTO billing.billing_webhook_queue (lane, event_row_id)
SELECT lane, id FROM billing.billing_webhook_events WHERE status = 'pending' ORDER BY id;
"""

DOWNGRADE = """
DROP TRIGGER queue_rearmed_event ON billing.billing_webhook_events;
DROP TRIGGER queue_pending_events ON billing.billing_webhook_events;
DROP FUNCTION billing.queue_rearmed_event(), billing.queue_pending_events();
ALTER TABLE billing.billing_lanes DROP COLUMN next_xid, DROP COLUMN next_through, DROP COLUMN taken_through;
DROP TABLE billing.billing_held_objects, billing.billing_webhook_queue;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
