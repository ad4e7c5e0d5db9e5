"""Fresh databases for tests: one migrated template per server, one clone per test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from alembic import command
from alembic.config import Config
from psycopg2.sql import SQL, Identifier
from sqlalchemy.engine import make_url

TEMPLATE = "nself_template"
_numbers = itertools.count(1)


def migrate(url: str) -> None:
    """Bring a database to the newest schema, as `python -m migrations upgrade` does."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
    config.attributes["url"] = with_driver(url)
    command.upgrade(config, "head")


def with_driver(url: str) -> str:
    return "postgresql+psycopg2://" + url.split("://", 1)[1]


def with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def make_template(server_url: str) -> None:
    execute(server_url, SQL("CREATE DATABASE {}").format(Identifier(TEMPLATE)))
    migrate(with_database(server_url, TEMPLATE))


@contextmanager
def cloned_database(server_url: str) -> Iterator[str]:
    """Clone the template, yield the clone's URL, drop it."""
    url = _clone(server_url)
    try:
        yield url
    finally:
        _drop(server_url, url)


class ReusedDatabase:
    """One clone for many tests: emptied after each, made anew only when a test changed the schema itself."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._url = _clone(server_url)
        self._keeper: psycopg2.extensions.connection | None = None
        self._shape, self._version = self._ask(_SHAPE), self._ask(_VERSION)

    @contextmanager
    def lend(self) -> Iterator[str]:
        """Give the database to one test, fresh as from the template."""
        try:
            yield self._url
        finally:
            self._ask(_KICK_OUT)
            if self._ask(_SHAPE) == self._shape and self._ask(_VERSION) == self._version:
                self._ask(_EMPTY)
            else:
                self._forget_keeper()
                _drop(self._server_url, self._url)
                self._url = _clone(self._server_url)

    def close(self) -> None:
        self._forget_keeper()
        _drop(self._server_url, self._url)

    def _ask(self, statement: str) -> list[tuple[object, ...]]:
        """Ask over a connection that outlives the tests: a new one would spend most of its time on the catalog."""
        try:
            return self._ask_once(statement)
        except psycopg2.OperationalError:  # a test ended every session but its own
            self._forget_keeper()
            return self._ask_once(statement)

    def _ask_once(self, statement: str) -> list[tuple[object, ...]]:
        if self._keeper is None:
            self._keeper = psycopg2.connect(self._url)
            self._keeper.autocommit = True
        with self._keeper.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _forget_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None


_KICK_OUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

_SHAPE = """
    SELECT md5(string_agg(concat(c.oid, c.relname, c.relnamespace), ',' ORDER BY c.oid)),
           (SELECT md5(string_agg(concat(attrelid, attname, atttypid), ',' ORDER BY attrelid, attnum))
            FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0),
           (SELECT max(oid::bigint) FROM pg_trigger), (SELECT max(oid::bigint) FROM pg_constraint)
    FROM pg_class c WHERE c.oid >= 16384
"""
"""Changes with every table, index, column, trigger or constraint that a test makes, renames or drops."""

_VERSION = "SELECT version_num FROM billing.alembic_version"

_EMPTY = """
DO $$
DECLARE filled text;
BEGIN
    SELECT string_agg(oid::regclass::text, ', ') INTO filled FROM pg_class
    WHERE relkind = 'r' AND relnamespace IN ('billing'::regnamespace, 'auth'::regnamespace)
      AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0;
    EXECUTE 'TRUNCATE ' || filled || ' RESTART IDENTITY CASCADE';
    INSERT INTO billing.billing_clock DEFAULT VALUES;
    INSERT INTO billing.billing_lanes (lane) SELECT generate_series(0, 63);
END $$
"""
"""Only tables that were written to are truncated; then the rows the migrations made are made again."""


def _clone(server_url: str) -> str:
    name = f"test_{next(_numbers)}"
    create = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    execute(server_url, create.format(Identifier(name), Identifier(TEMPLATE)))
    search_path = SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET search_path = billing, public")
    execute(server_url, search_path.format(Identifier(name)))
    return with_database(server_url, name)


def _drop(server_url: str, url: str) -> None:
    execute(server_url, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(str(make_url(url).database))))


def execute(url: str, statement: SQL | object) -> None:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)  # type: ignore[arg-type]  # Composed is accepted, the stub lacks it
    finally:
        connection.close()
