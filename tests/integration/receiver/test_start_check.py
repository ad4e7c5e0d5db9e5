"""The receiver refuses to start against a database that is not its own, and starts without any."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from billing_worker.stack.ports import choose_port
from tests.integration.receiver.process import event, receiver_environment, rows, running_receiver

INSTALL = (
    "INSERT INTO billing.billing_installation (account_id, livemode, stripe_is, created_at)"
    " VALUES ('acct_1', %s, 'real', now()) RETURNING id"
)


def start(folder: Path, database_url: str, redis_url: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "webhook_receiver"],
        env=receiver_environment(folder, database_url, redis_url, **changes),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_other_mode_is_refused(tmp_path: Path, database_url: str, redis_url: str) -> None:
    rows(database_url, INSTALL, True)
    done = start(tmp_path, database_url, redis_url)
    assert done.returncode == 3
    assert "the database holds live data but STRIPE_MODE=test" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_without_schema_is_refused(tmp_path: Path, database_url: str, redis_url: str) -> None:
    empty = database_url.rpartition("/")[0] + "/postgres"
    done = start(tmp_path, empty, redis_url)
    assert (done.returncode, "python -m migrations upgrade" in done.stderr) == (3, True)


def test_an_old_schema_is_refused(tmp_path: Path, database_url: str, redis_url: str) -> None:
    rows(database_url, "UPDATE billing.alembic_version SET version_num = '0001' RETURNING 1")
    done = start(tmp_path, database_url, redis_url)
    assert (done.returncode, "the schema is at 0001, the receiver needs 0002" in done.stderr) == (3, True)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET is not set"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"REDIS_URL": ""}, "REDIS_URL is not set"),
        ({"WEBHOOK_IDEMPOTENCY_ENABLED": "false"}, "cannot be turned off"),
        ({"WEBHOOK_TIMEOUT": "soon"}, "is not a duration"),
    ],
)
def test_settings_that_cannot_work_are_named(
    tmp_path: Path, database_url: str, redis_url: str, changes: dict[str, str], complaint: str
) -> None:
    done = start(tmp_path, database_url, redis_url, **changes)
    assert (done.returncode, complaint in done.stderr, "Traceback" in done.stderr) == (3, True, False)


def test_without_database_it_starts_and_postpones(tmp_path: Path, redis_url: str) -> None:
    nobody = f"postgresql://billing@127.0.0.1:{choose_port()}/billing"
    with running_receiver(tmp_path, nobody, redis_url) as receiver:
        answer = receiver.post(event("evt_1"))
        assert (answer.status, answer.body["reason"]) == (503, "database_away")
        assert receiver.get("/readyz").status == 503
        assert len(receiver.logged("receiver_starts_without_database")) == 1


def test_a_database_that_turns_out_to_be_another_stores_nothing(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    with running_receiver(tmp_path, database_url, redis_url) as receiver:
        rows(database_url, INSTALL, True)
        answer = receiver.post(event("evt_1"))
        assert (answer.status, answer.body["reason"]) == (503, "database_away")
        assert receiver.get("/readyz").status == 503
    assert rows(database_url, "SELECT count(*) FROM billing.billing_webhook_events") == [(0,)]


def test_the_receiver_loads_neither_celery_nor_the_orm_nor_the_sdk_nor_domain_code(tmp_path: Path) -> None:
    code = (
        "import sys, webhook_receiver.wsgi\n"
        "heavy = ('celery', 'stripe', 'sqlalchemy', 'billing_worker.domains', 'billing_worker.app',"
        " 'billing_worker.routing')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=receiver_environment(tmp_path, "", ""),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n")
