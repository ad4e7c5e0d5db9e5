"""Finishing an event touches no index; new rows are stored in the form that costs least to write."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# An index whose predicate names `status` would be written anew, with all others, each time an event is finished. The
# queue took over from the one on pending events; `stopped` carries the other, and changes only where an event stops.
UPGRADE = """
ALTER TABLE billing.billing_webhook_events ADD COLUMN stopped boolean NOT NULL DEFAULT false;
UPDATE billing.billing_webhook_events SET stopped = true WHERE status IN ('failed', 'quarantined');
DROP INDEX billing.ix_billing_webhook_events_stopped, billing.ix_billing_webhook_events_pending;
CREATE INDEX ix_billing_webhook_events_stopped ON billing.billing_webhook_events (id) WHERE stopped;
ALTER TABLE billing.billing_webhook_events SET (fillfactor = 50);

CREATE FUNCTION billing.mark_stopped_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.stopped := NEW.status IN ('failed', 'quarantined');
    RETURN NEW;
END
$$;
CREATE TRIGGER mark_stopped_event BEFORE INSERT OR UPDATE OF status ON billing.billing_webhook_events
    FOR EACH ROW WHEN (NEW.stopped <> (NEW.status IN ('failed', 'quarantined')))
    EXECUTE FUNCTION billing.mark_stopped_event();
"""

DOWNGRADE = """
DROP TRIGGER mark_stopped_event ON billing.billing_webhook_events;
DROP FUNCTION billing.mark_stopped_event();
DROP INDEX billing.ix_billing_webhook_events_stopped;
ALTER TABLE billing.billing_webhook_events DROP COLUMN stopped, SET (fillfactor = 80);
CREATE INDEX ix_billing_webhook_events_pending ON billing.billing_webhook_events (lane, id) WHERE status = 'pending';
CREATE INDEX ix_billing_webhook_events_stopped ON billing.billing_webhook_events (status, id)
    WHERE status IN ('failed', 'quarantined');
"""

# With lz4 compression costs next to nothing; pglz, the only one that some builds have, costs more than all the rest of
# a mirror row's write (docs/benchmarks.md), so that there the rows lie uncompressed beside their table.
LZ4 = """
DO $$
DECLARE
    has_lz4 boolean := (SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression');
    place record;
BEGIN
    FOR place IN
        SELECT c.oid::regclass AS table_name, a.attname AS column_name, a.attname = 'data' AS is_mirror
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind IN ('r', 'p') AND (
            (a.attname = 'body' AND c.relname LIKE 'billing\\_webhook\\_payloads%') OR
            (a.attname = 'data' AND a.atttypid = 'jsonb'::regtype AND EXISTS (
                SELECT 1 FROM pg_attribute v WHERE v.attrelid = c.oid AND v.attname = 'version_row_id')))
    LOOP
        IF has_lz4 THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION lz4', place.table_name, place.column_name);
        ELSIF place.is_mirror THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE EXTERNAL', place.table_name, place.column_name);
        END IF;
    END LOOP;
END
$$
"""


def upgrade() -> None:
    op.execute(UPGRADE)
    op.execute(LZ4)


def downgrade() -> None:
    op.execute(DOWNGRADE)
