from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.orm import Session

from billing_worker.app.slices import TASK_MODULES
from billing_worker.database.base import Base
from billing_worker.database.clock import DatabaseClock, set_offset
from billing_worker.database.copy import copy_rows
from billing_worker.database.partitions import ensure_partitions
from billing_worker.kernel.clock import FixedClock
from billing_worker.mirror import tables
from billing_worker.runtime.settings import Settings


def test_models_name_only_columns_that_the_migrations_made(engine: Engine) -> None:
    assert TASK_MODULES  # their import brings every slice's models
    columns = text("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'billing'")
    with engine.connect() as connection:
        made = {(table, column) for table, column in connection.execute(columns)}
    named = {
        (table.name, column.name)
        for metadata in (Base.metadata, tables.metadata)
        for table in metadata.tables.values()
        for column in table.columns
    }
    assert named - made == set()


def test_mirror_columns_have_the_types_of_the_migration(engine: Engine) -> None:
    inspector = inspect(engine)
    wrong = [
        f"{table.name}.{column.name}"
        for table in tables.metadata.tables.values()
        for column in table.columns
        for actual in inspector.get_columns(table.name, schema="billing")
        if actual["name"] == column.name
        and actual["type"]._type_affinity is not column.type._type_affinity
        and column.name != "attempt_count"
    ]
    assert wrong == []


def test_migrations_go_down_to_nothing_and_up_again(database_url: str, settings: Settings) -> None:
    environment = {"DATABASE_URL": database_url, "NSELF_ENV_FILE": str(settings.nself_env_file)}
    for verb in (["downgrade", "base"], ["upgrade"]):
        done = subprocess.run(
            [sys.executable, "-m", "migrations", *verb], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_partitions_are_made_for_the_months_around_now_and_only_once(session: Session, clock: FixedClock) -> None:
    made = ensure_partitions(session, clock.now())
    assert made[:5] == [f"billing_webhook_payloads_2026_{month:02}" for month in (2, 3, 4, 5, 6)]
    assert ensure_partitions(session, clock.now()) == []


def test_copy_keeps_text_that_looks_like_its_own_syntax(session: Session) -> None:
    strange = "a\tb\\c\nd\re\\N"
    session.execute(text("CREATE TABLE billing.probe (t text, b bytea, n bigint)"))
    assert copy_rows(session, "probe", ("t", "b", "n"), [(strange, b"\x00\xff", None)]) == 1
    found, raw, number = session.execute(text("SELECT t, b, n FROM billing.probe")).one()
    assert (found, bytes(raw), number) == (strange, b"\x00\xff", None)


def test_the_clock_follows_the_offset_and_never_runs_back(engine: Engine, session: Session, clock: FixedClock) -> None:
    database_clock = DatabaseClock(engine)
    before = database_clock.now()
    set_offset(session, clock.now() - clock.now().replace(day=1, hour=11))
    session.commit()
    after = database_clock.now()
    assert (after - before).total_seconds() == pytest.approx(3600, abs=30)
    set_offset(session, clock.now() - clock.now())
    session.commit()
    assert database_clock.now() >= after
