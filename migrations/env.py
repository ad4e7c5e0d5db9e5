"""Alembic environment: one connection, schema `billing`, short lock waits."""

from alembic import context
from sqlalchemy import create_engine, pool, text

LOCK_TIMEOUT = "5s"
MIGRATION_LOCK = (0x6E53, 0)  # our class id; 0 = the migration lock


def run() -> None:
    url = context.config.attributes["url"]
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        # Two starts at once: the second waits here and then finds nothing to do.
        connection.execute(text("SELECT pg_advisory_lock(:c, :n)"), {"c": MIGRATION_LOCK[0], "n": MIGRATION_LOCK[1]})
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS billing"))
        connection.execute(
            text(
                "DO $$ BEGIN EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = billing, public',"
                " current_user, current_database()); END $$"
            )
        )
        connection.execute(text("SET search_path = billing, public"))
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.commit()
        context.configure(
            connection=connection,
            version_table="alembic_version",
            version_table_schema="billing",
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
