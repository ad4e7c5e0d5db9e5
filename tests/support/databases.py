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
    name = f"test_{next(_numbers)}"
    create = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    execute(server_url, create.format(Identifier(name), Identifier(TEMPLATE)))
    search_path = SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET search_path = billing, public")
    execute(server_url, search_path.format(Identifier(name)))
    try:
        yield with_database(server_url, name)
    finally:
        execute(server_url, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def execute(url: str, statement: SQL | object) -> None:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)  # type: ignore[arg-type]  # Composed is accepted, the stub lacks it
    finally:
        connection.close()
