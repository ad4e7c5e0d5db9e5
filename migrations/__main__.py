"""`python -m migrations upgrade|current|downgrade`: bring the schema to this release, on the direct connection."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

from billing_worker.database.engine import psycopg2_url
from billing_worker.runtime.settings import load_settings


def alembic_config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["url"] = psycopg2_url(url)
    return config


def main(arguments: list[str]) -> int:
    settings = load_settings()
    url = settings.database_direct_url.get_secret_value() or settings.database_url.get_secret_value()
    if not url:
        print("DATABASE_URL is not set: write for example postgresql://billing@db/billing", file=sys.stderr)
        return 3
    match arguments:
        case ["upgrade"]:
            command.upgrade(alembic_config(url), "head")
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
