"""`python -m migrations upgrade|current|downgrade`: bring the schema to this release, on the direct connection."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.orm import Session

from billing_worker.database.clock import DatabaseClock
from billing_worker.database.engine import build_engine, psycopg2_url
from billing_worker.database.partitions import ensure_partitions
from billing_worker.runtime.settings import Settings, load_settings


def alembic_config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["url"] = psycopg2_url(url)
    return config


def make_partitions(settings: Settings) -> None:
    """Make the coming months' partitions before the first row needs them."""
    engine = build_engine(settings, application_name="migrations", pool_size=2)
    with Session(engine) as session, session.begin():
        ensure_partitions(session, DatabaseClock(engine).now())
    engine.dispose()


def main(arguments: list[str]) -> int:
    settings = load_settings()
    url = settings.database_direct_url.get_secret_value() or settings.database_url.get_secret_value()
    if not url:
        print("DATABASE_URL is not set: write for example postgresql://billing@db/billing", file=sys.stderr)
        return 3
    match arguments:
        case ["upgrade"]:
            command.upgrade(alembic_config(url), "head")
            make_partitions(settings)
        case ["downgrade", revision]:
            command.downgrade(alembic_config(url), revision)
        case ["current"]:
            command.current(alembic_config(url))
        case _:
            print("usage: python -m migrations upgrade | current | downgrade REVISION", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
