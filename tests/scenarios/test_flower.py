"""Flower as an operator sees it: workers, queues, and the webhook that was just processed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from sqlalchemy import Engine, text

from billing_worker.runtime.settings import Settings
from billing_worker.stack.ports import choose_port
from billing_worker.stack.programs import FLOWER_VARIABLES
from billing_worker.worker.queues import FIXED_QUEUES, webhook_queues
from tests.integration.receiver.process import event, running_receiver
from tests.integration.worker.processes import Launcher, wait_for
from tests.scenarios.browser import CHROMIUM, photograph_page, read_page

pytestmark = [
    pytest.mark.scenario,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]

QUEUES = [*webhook_queues(4), *FIXED_QUEUES]


@pytest.fixture
def environment(settings: Settings, engine: Engine, tmp_path: Path) -> dict[str, str]:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO billing_installation VALUES (1, 'acct_flower', false, 'sandbox', clock_timestamp())")
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
    started = Launcher(environment, tmp_path, app="billing_worker.app.celery_app")
    yield started
    started.stop()


def test_an_operator_finds_workers_queues_and_the_processed_webhook(
    launcher: Launcher, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    port = choose_port()
    address = f"http://127.0.0.1:{port}"
    flower = launcher.flower(port, FLOWER_BASIC_AUTH="operator:secret", **dict(FLOWER_VARIABLES))
    wait_for(lambda: answers(address) == 401, what="Flower asking for a password", log=flower.log)
    worker = launcher.worker(",".join(QUEUES))
    database_url, redis_url = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
    with running_receiver(tmp_path, database_url, redis_url) as receiver:
        assert receiver.post(event("evt_seen_in_flower")).status == 200
        applied = text("SELECT status FROM billing_webhook_events WHERE event_id = 'evt_seen_in_flower'")
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            wait_for(lambda: connection.execute(applied).scalar_one() == "applied", what="the drain", log=worker.log)

    signed_in = address.replace("http://", "http://operator:secret@")
    tasks = wait_for(lambda: page_with("SUCCESS", f"{signed_in}/tasks", tmp_path), what="the task in Flower")
    assert "inbox.drain_lane" in tasks
    assert "evt_seen_in_flower customer." in tasks
    assert "w1@test" in read_page(f"{signed_in}/workers", tmp_path)
    broker = read_page(f"{signed_in}/broker", tmp_path)
    assert [queue for queue in QUEUES if f">{queue}<" not in broker.replace("\n", "").replace(" ", "")] == []
    worker_page = read_page(f"{signed_in}/worker/w1@test", tmp_path)
    assert [queue for queue in QUEUES if queue not in worker_page] == []
    assert photograph_page(f"{signed_in}/tasks", tmp_path, "tasks").stat().st_size > 10_000


def answers(address: str) -> int:
    try:
        return requests.get(f"{address}/workers", timeout=10).status_code
    except requests.ConnectionError:
        return 0


def page_with(words: str, url: str, folder: Path) -> str:
    page = read_page(url, folder)
    return page if words in page else ""
