"""A database with the rig's table, bound to an installation, and processes against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from billing_worker.runtime.settings import Settings
from tests.integration.worker.processes import Launcher


@pytest.fixture
def environment(settings: Settings, engine: Engine, tmp_path: Path) -> dict[str, str]:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE rig_notes (id bigserial PRIMARY KEY, words text NOT NULL)"))
        connection.execute(
            text("INSERT INTO billing_installation VALUES (1, 'acct_rig', false, 'sandbox', clock_timestamp())")
        )
    return {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "STRIPE_SECRET_KEY": settings.stripe_secret_key.get_secret_value(),
        "STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret.get_secret_value(),
        "STRIPE_API_BASE": settings.stripe_api_base,
        "NSELF_HOME": str(tmp_path / ".nself"),
        "NSELF_ENV_FILE": str(tmp_path / ".env"),
    }


@pytest.fixture
def launcher(environment: dict[str, str], tmp_path: Path) -> Iterator[Launcher]:
    started = Launcher(environment, tmp_path)
    yield started
    started.stop()
